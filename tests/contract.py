#!/usr/bin/python3
"""Holds exchanges with a live server against the contract.

    contract.py OPENAPI LOG [--all-operations]

LOG has one JSON object a line: method, path (with its query), request_content_type, request_body, status,
response_content_type, response_headers, response_body. An exchange fails when the contract lacks its operation, status
or content type, when an answer does not have its schema or lacks a required header, or when a request succeeded that
the contract does not allow. OPENAPI itself is checked first: references, schemas, and that its examples have them.
With --all-operations each documented 2xx answer must have been exercised.
"""
import argparse
import json
import re
import sys
import urllib.parse

import jsonschema
import yaml

DIALECT = jsonschema.Draft202012Validator
METHODS = ("get", "post", "put", "delete", "patch")


def load_contract(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if path.endswith(".json"):
        return json.loads(text)
    return json.loads(json.dumps(yaml.safe_load(text)))  # keys become texts


class Contract:
    def __init__(self, document):
        self.document = document
        self.resolver = jsonschema.RefResolver("", document)
        self.templates = [(self.template_pattern(path), path) for path in document["paths"]]

    @staticmethod
    def template_pattern(path):
        parts = re.split(r"\{[^}]+\}", path)
        return re.compile("[^/]+".join(re.escape(part) for part in parts) + r"\Z")

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def path_of(self, target):
        """The documented path of a request's target; fixed segments win over parameters."""
        path = urllib.parse.urlsplit(target).path or "/"
        if "%" in path and "%2f" not in path.lower():
            path = urllib.parse.unquote(path)
        found = [template for pattern, template in self.templates if pattern.match(path)]
        return min(found, key=lambda template: template.count("{"), default=None)

    def operations(self):
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, method, item[method]

    def parameters(self, path, operation):
        listed = self.document["paths"][path].get("parameters", []) + operation.get("parameters", [])
        return [self.resolve(parameter) for parameter in listed]

    def schema_errors(self, value, schema):
        validator = DIALECT(schema, resolver=self.resolver)
        return [describe(error) for error in validator.iter_errors(value)]


def describe(error):
    """An error in one line, led to the branch that came closest."""
    best = jsonschema.exceptions.best_match([error]) or error
    place = "/" + "/".join(str(part) for part in best.absolute_path)
    return f"{place}: {best.message[:200]}"


def is_json(media):
    return media == "application/json" or media.endswith("+json")


def media_of(content_type):
    return (content_type or "").split(";")[0].strip().lower()


def strict_json(text):
    def refuse(word):
        raise ValueError(f"{word} is not JSON")
    return json.loads(text, parse_constant=refuse)


# ---- the contract itself ----

def walk(node, path=""):
    if isinstance(node, dict):
        yield path, node
        for key, item in node.items():
            yield from walk(item, f"{path}/{key}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from walk(item, f"{path}/{index}")


def check_references(contract):
    for path, node in walk(contract.document):
        if isinstance(node.get("$ref"), str):
            try:
                contract.resolver.resolve(node["$ref"])
            except jsonschema.RefResolutionError as error:
                yield f"{path}: {error}"


def check_schemas(contract):
    for name, schema in contract.document["components"]["schemas"].items():
        try:
            DIALECT.check_schema(schema)
        except jsonschema.SchemaError as error:
            yield f"schema {name}: {error.message}"


def check_operations(contract):
    seen = set()
    for path, method, operation in contract.operations():
        name = operation.get("operationId")
        if not name or name in seen:
            yield f"{method} {path}: operationId {name!r} is missing or not unique"
        seen.add(name)
        declared = {p["name"] for p in contract.parameters(path, operation) if p["in"] == "path"}
        if declared != set(re.findall(r"\{([^}]+)\}", path)):
            yield f"{method} {path}: path parameters {sorted(declared)}"
        if not any(status.startswith(("2", "3")) for status in operation["responses"]):
            yield f"{method} {path}: no success is documented"


def examples_of(media):
    if "example" in media:
        yield "example", media["example"]
    for name, example in media.get("examples", {}).items():
        yield name, example["value"]


def check_examples(contract):
    for path, node in walk(contract.document):
        for media, content in (node.get("content") or {}).items() if isinstance(node.get("content"), dict) else ():
            for name, value in examples_of(content):
                for error in contract.schema_errors(value, content["schema"]):
                    yield f"{path}/content/{media}, example {name}: {error}"


def check_contract(contract):
    errors = []
    for check in (check_references, check_schemas, check_operations, check_examples):
        errors += check(contract)
        if errors:
            break
    return errors


# ---- exchanges ----

def check_unknown(exchange, allowed, contract):
    """What is not in the contract is refused, as a problem."""
    if exchange["status"] not in allowed and exchange["status"] < 500:
        yield f"this is not in the contract, but got {exchange['status']}"
    problem = {"$ref": "#/components/schemas/Problem"}
    if exchange["method"] != "HEAD":
        yield from check_body(exchange, {"application/problem+json": {"schema": problem}}, contract)


def given_headers(exchange):
    return {name.lower(): value for name, value in (exchange.get("response_headers") or {}).items()}


def check_body(exchange, content, contract):
    media = media_of(exchange.get("response_content_type"))
    body = exchange.get("response_body") or ""
    if not content:
        if body:
            yield f"a body of {len(body)} characters where none is documented"
        return
    if media not in content:
        yield f"content type {media!r} is not documented; there are {sorted(content)}"
        return
    if "content-encoding" in given_headers(exchange):
        return  # compressed: the log has it as text, and the same answer stands there uncompressed
    value = body
    if is_json(media):
        try:
            value = strict_json(body)
        except ValueError as error:
            yield f"the body is not JSON: {error}"
            return
    for error in contract.schema_errors(value, content[media].get("schema", {})):
        yield f"the answer: {error}"


def check_headers(exchange, headers, contract):
    given = given_headers(exchange)
    for name, header in headers.items():
        header = contract.resolve(header)
        value = given.get(name.lower())
        if value is None:
            # A stream has no content that a tag or a cursor could stand for: its events carry theirs.
            if header.get("required") and media_of(exchange.get("response_content_type")) != "text/event-stream":
                yield f"the header {name} is missing"
            continue
        schema = contract.resolve(header.get("schema", {}))
        for error in contract.schema_errors(text_value(value, schema), schema):
            yield f"the header {name}: {error}"


def text_value(text, schema):
    """The text of a query parameter or a header as what its schema speaks of."""
    if schema.get("type") == "integer":
        return int(text) if re.fullmatch(r"-?[0-9]+", text) else text
    return text


def check_query(exchange, path, operation, contract):
    known = {p["name"]: p for p in contract.parameters(path, operation) if p["in"] == "query"}
    query = urllib.parse.urlsplit(exchange["path"]).query
    for name, text in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if name not in known:
            yield f"it succeeded with the undocumented query parameter {name!r}"
            continue
        schema = contract.resolve(known[name]["schema"])
        for error in contract.schema_errors(text_value(text, schema), schema):
            yield f"it succeeded with the query parameter {name}={text}: {error}"


def check_request(exchange, operation, contract):
    body = contract.resolve(operation.get("requestBody"))
    if not body:
        return
    media = media_of(exchange.get("request_content_type"))
    if media not in body["content"]:
        yield f"it succeeded with a body of the undocumented type {media!r}"
    elif is_json(media) and exchange.get("request_body"):
        for error in contract.schema_errors(strict_json(exchange["request_body"]), body["content"][media]["schema"]):
            yield f"it succeeded with a request that the contract refuses: {error}"


def check_exchange(exchange, contract, exercised):
    path = contract.path_of(exchange["path"])
    if not path:
        yield from check_unknown(exchange, (404, 400, 405, 401, 413, 414, 415, 431), contract)
        return
    method = {"HEAD": "get"}.get(exchange["method"], exchange["method"].lower())
    operation = contract.document["paths"][path].get(method)
    if not operation:
        yield from check_unknown(exchange, (405, 400, 413, 431), contract)
        return
    status = exchange["status"]
    key = str(status) if str(status) in operation["responses"] else "default"
    if key not in operation["responses"] or (key == "default" and status < 400):
        yield f"status {status} is not documented"
        return
    exercised.add((path, method, key))
    response = contract.resolve(operation["responses"][key])
    yield from check_headers(exchange, response.get("headers", {}), contract)
    if exchange["method"] != "HEAD":
        yield from check_body(exchange, response.get("content", {}), contract)
    if 200 <= status < 300:
        yield from check_query(exchange, path, operation, contract)
        yield from check_request(exchange, operation, contract)


def missing_operations(contract, exercised):
    for path, method, operation in contract.operations():
        for status in operation["responses"]:
            if status[0] == "2" and (path, method, status) not in exercised:
                yield f"{method.upper()} {path}: the answer {status} was never seen"


def read_log(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, json.loads(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("openapi")
    parser.add_argument("log")
    parser.add_argument("--all-operations", action="store_true", help="each documented success must have been seen")
    options = parser.parse_args()
    contract = Contract(load_contract(options.openapi))
    failures = [f"{options.openapi}: {error}" for error in check_contract(contract)]
    passed, failed, exercised = 0, len(failures), set()
    if not failures:
        passed += 1
        for number, exchange in read_log(options.log):
            errors = list(check_exchange(exchange, contract, exercised))
            failures += [f"{options.log}:{number}: {exchange['method']} {exchange['path']} → {exchange['status']}: {error}"
                         for error in errors]
            failed += bool(errors)
            passed += not errors
        missing = list(missing_operations(contract, exercised)) if options.all_operations else []
        failures += missing
        failed += len(missing)
        if passed == 1 and not failed:
            failures, failed = ["the log is empty: nothing was held against the contract"], 1
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
