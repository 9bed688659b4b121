#!/usr/bin/python3
"""Writes a YAML file as JSON: yaml_to_json.py IN.yaml OUT.json. Duplicate keys are an error."""
import json
import sys

import yaml


class StrictLoader(yaml.SafeLoader):
    """SafeLoader without timestamps, and without the last of two equal keys winning."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {key!r}", node.start_mark)
        return super().construct_mapping(node, deep)


# Times in examples are texts, as they are in JSON.
StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def string_keys(value):
    """JSON's keys are texts: the status codes of the contract are written without quotes."""
    if isinstance(value, dict):
        return {str(key): string_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [string_keys(item) for item in value]
    return value


def load(path):
    with open(path, encoding="utf-8") as file:
        return string_keys(yaml.load(file, StrictLoader))


def main():
    source, target = sys.argv[1:]
    text = json.dumps(load(source), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    with open(target, "w", encoding="utf-8") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    main()
