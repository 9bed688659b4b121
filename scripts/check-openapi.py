#!/usr/bin/python3
"""Checks api/openapi.yaml: the objects of OpenAPI 3.1.0 by the rules of its specification (section 4.8), every
schema by JSON Schema 2020-12's meta-schema, every example by its schema, every reference by its target.

Debian has no validator of OpenAPI 3.1; this one knows the objects that this contract uses and refuses others.
"""

import re
import sys

import jsonschema

import yaml_to_json

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

# Object -> (required fields, optional fields). Any object may also carry x-… fields.
FIELDS = {
    "document": ("openapi info paths", "jsonSchemaDialect servers webhooks components security tags externalDocs"),
    "info": ("title version", "summary description termsOfService contact license"),
    "path": ("", "summary description servers parameters " + " ".join(METHODS)),
    "operation": (
        "operationId responses",
        "tags summary description externalDocs parameters requestBody callbacks deprecated security servers",
    ),
    "parameter": ("name in", "description required deprecated style explode schema example examples content"),
    "header": ("", "description required deprecated style explode schema example examples content"),
    "body": ("content", "description required"),
    "response": ("description", "headers content links"),
    "media": ("", "schema example examples encoding"),
    "example": ("", "summary description value externalValue"),
    "components": (
        "",
        "schemas responses parameters examples requestBodies headers securitySchemes links callbacks pathItems",
    ),
}


class Checker:
    def __init__(self, document):
        self.document = document
        self.problems = []
        self.operation_ids = set()
        self.used = set()
        self.resolver = jsonschema.RefResolver.from_schema(document)

    def fail(self, where, text):
        self.problems.append(f"{where}: {text}")

    def fields(self, kind, where, thing):
        """True when `thing` is an object of this kind with no field missing or unknown."""
        if not isinstance(thing, dict):
            self.fail(where, f"is no {kind} object")
            return False
        required, optional = (text.split() for text in FIELDS[kind])
        for name in required:
            if name not in thing:
                self.fail(where, f"lacks {name}")
        for name in thing:
            if name not in required and name not in optional and not str(name).startswith("x-"):
                self.fail(where, f"{name} is no field of a {kind} object")
        return all(name in thing for name in required)

    def resolve(self, where, thing):
        """What a {"$ref": …} points to, or the thing itself; None for a broken reference."""
        if not isinstance(thing, dict) or "$ref" not in thing:
            return thing
        try:
            return self.resolver.resolve(thing["$ref"])[1]
        except jsonschema.RefResolutionError:
            return None  # reported by check_references

    def check_references(self, where, node):
        if isinstance(node, dict):
            target = node.get("$ref")
            if isinstance(target, str):
                self.used.add(target)
                try:
                    self.resolver.resolve(target)
                except jsonschema.RefResolutionError:
                    self.fail(where, f"$ref {target} leads nowhere")
            for key, value in node.items():
                self.check_references(f"{where}/{key}", value)
        elif isinstance(node, list):
            for index, value in enumerate(node):
                self.check_references(f"{where}/{index}", value)

    def check_schema(self, where, schema):
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
            return True
        except jsonschema.SchemaError as error:
            self.fail(where, f"is no JSON Schema: {error.message}")
            return False

    def check_value(self, where, value, schema):
        if self.problems:
            return  # a broken schema makes the validator stumble
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver)
        for error in validator.iter_errors(value):
            self.fail(where, f"does not fit its schema at {error.json_path}: {error.message}")

    def check_schema_and_examples(self, where, thing):
        if "schema" not in thing or not self.check_schema(f"{where}/schema", thing["schema"]):
            return
        if "example" in thing:
            self.check_value(f"{where}/example", thing["example"], thing["schema"])
        for name, example in thing.get("examples", {}).items():
            example = self.resolve(where, example)
            place = f"{where}/examples/{name}"
            if example is not None and self.fields("example", place, example) and "value" in example:
                self.check_value(f"{place}/value", example["value"], thing["schema"])

    def check_content(self, where, content):
        if not content:
            self.fail(where, "has no media type")
        for media, thing in (content or {}).items():
            place = f"{where}/{media}"
            if not re.fullmatch(r"[\w*.+-]+/[\w*.+-]+(;.*)?", media):
                self.fail(place, "is no media type")
            if self.fields("media", place, thing):
                self.check_schema_and_examples(place, thing)

    def check_parameter(self, where, parameter):
        if not self.fields("parameter", where, parameter):
            return
        if parameter["in"] not in ("path", "query", "header", "cookie"):
            self.fail(where, f"in: {parameter['in']} does not exist")
        if parameter["in"] == "path" and parameter.get("required") is not True:
            self.fail(where, "a path parameter must say required: true")
        if ("schema" in parameter) == ("content" in parameter):
            self.fail(where, "needs either schema or content")
        self.check_schema_and_examples(where, parameter)

    def check_response(self, where, response):
        if not self.fields("response", where, response):
            return
        for name, header in response.get("headers", {}).items():
            header = self.resolve(where, header)
            if header is not None and self.fields("header", f"{where}/headers/{name}", header):
                self.check_schema_and_examples(f"{where}/headers/{name}", header)
        if "content" in response:
            self.check_content(f"{where}/content", response["content"])

    def check_path_parameters(self, where, path, parameters):
        places = [(p.get("in"), p.get("name")) for p in parameters]
        for place in {p for p in places if places.count(p) > 1}:
            self.fail(where, f"parameter {place} stands twice")
        declared = {name for at, name in places if at == "path"}
        for name in declared.symmetric_difference(re.findall(r"{([^}]+)}", path)):
            self.fail(where, f"path parameter {name} stands either in the path or among the parameters, not in both")

    def check_operation(self, where, path, operation, shared):
        if not self.fields("operation", where, operation):
            return
        if operation["operationId"] in self.operation_ids:
            self.fail(where, f"operationId {operation['operationId']} is taken")
        self.operation_ids.add(operation["operationId"])
        own = [self.resolve(where, p) for p in operation.get("parameters", [])]
        for index, parameter in enumerate(own):
            if parameter is not None:
                self.check_parameter(f"{where}/parameters/{index}", parameter)
        overridden = {(p.get("in"), p.get("name")) for p in own if p}
        inherited = [p for p in shared if (p.get("in"), p.get("name")) not in overridden]
        self.check_path_parameters(where, path, [p for p in own if p] + inherited)
        body = self.resolve(where, operation.get("requestBody"))
        if body is not None and self.fields("body", f"{where}/requestBody", body):
            self.check_content(f"{where}/requestBody/content", body["content"])
        if not operation["responses"]:
            self.fail(where, "has no response")
        for status, response in operation["responses"].items():
            place = f"{where}/responses/{status}"
            if not re.fullmatch(r"[1-5](\d\d|XX)|default", status):
                self.fail(place, "is no status")
            response = self.resolve(place, response)
            if response is not None:
                self.check_response(place, response)

    def check_path(self, path, item):
        where = f"/paths/{path}"
        if not path.startswith("/"):
            self.fail(where, "must start with /")
        if not self.fields("path", where, item):
            return
        shared = [p for p in (self.resolve(where, p) for p in item.get("parameters", [])) if p]
        for index, parameter in enumerate(shared):
            self.check_parameter(f"{where}/parameters/{index}", parameter)
        for method in METHODS:
            if method in item:
                self.check_operation(f"{where}/{method}", path, item[method], shared)

    def check_components(self, components):
        if not self.fields("components", "/components", components):
            return
        for kind, things in components.items():
            for name, thing in things.items():
                where = f"#/components/{kind}/{name}"
                if not re.fullmatch(r"[a-zA-Z0-9._-]+", name):
                    self.fail(where, "is no name for a component")
                if kind == "schemas":
                    self.check_schema(where, thing)
                if kind != "securitySchemes" and where not in self.used:
                    self.fail(where, "is used nowhere")
        for name, thing in components.get("schemas", {}).items():
            for index, example in enumerate(thing.get("examples", [])):
                self.check_value(f"#/components/schemas/{name}/examples/{index}", example, thing)

    def check(self):
        document = self.document
        if not self.fields("document", "", document):
            return
        if not re.fullmatch(r"3\.1\.\d+", str(document["openapi"])):
            self.fail("/openapi", "is not 3.1.x")
        self.fields("info", "/info", document["info"])
        self.check_references("", document)
        self.check_components(document.get("components", {}))
        for path, item in document["paths"].items():
            self.check_path(path, item)
        if not self.operation_ids:
            self.fail("/paths", "has no operation")
        shapes = [re.sub(r"{[^}]+}", "{}", path) for path in document["paths"]]
        for shape in {s for s in shapes if shapes.count(s) > 1}:
            self.fail("/paths", f"{shape} stands twice")


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "api/openapi.yaml"
    checker = Checker(yaml_to_json.load(path))
    checker.check()
    for problem in checker.problems:
        print(problem)
    if not checker.problems:
        print(f"{path}: {len(checker.operation_ids)} operations, all well described")
    return 1 if checker.problems else 0


sys.exit(main())
