"""Answers of sagemaker-inference's own Transformer, for an interpreter that has it: cases as JSON on stdin, answers on stdout.

A case is {"program": ..., "folder": ..., "headers": [[name, value], ...], "body": base64}; an answer is a status, a content type
and a body in base64, as multi-model-server would send them.
"""

import base64
import json
import os
import sys

from mms.context import Context, RequestProcessor
from sagemaker_inference.transformer import Transformer


def answer(case, transformers):
    name = case["program"]
    if name not in transformers:
        sys.path.insert(0, case["folder"])
        os.environ["SAGEMAKER_PROGRAM"] = name
        transformers[name] = Transformer(), Context("model", case["folder"], {}, 1, None, "1.1.11")
    transformer, context = transformers[name]
    processor = RequestProcessor(dict(case["headers"]))
    context.request_processor, context.request_ids = [processor], {0: "an-id"}
    result = transformer.transform([{"body": base64.b64decode(case["body"])}], context)[0]
    status = processor.get_response_status_code()
    if not isinstance(result, (bytes, bytearray)):
        try:
            result = (result if isinstance(result, str) else json.dumps(result, indent=2)).encode()
        except TypeError:
            status, result = 503, b"error"
    kind = processor.get_response_headers().get("content-type", "")
    return {"status": status, "type": kind, "body": base64.b64encode(bytes(result)).decode()}


if __name__ == "__main__":
    loaded = {}
    print(json.dumps([answer(case, loaded) for case in json.load(sys.stdin)]))
