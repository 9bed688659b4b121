"""What one would write with FastAPI and PyTorch in Nabla's place: POST /v1/losses for logits and class ids, JSON read and
written by orjson, safetensors in and out. Started by bench/bench_http.py:

    uvicorn fastapi_torch:app --port PORT --no-access-log
"""

import json
import struct

import numpy
import orjson
import torch
from fastapi import FastAPI, Request, Response

torch.set_num_threads(1)
app = FastAPI()


def loss_and_gradient(logits, labels):
    logits.requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    return loss.item(), logits.grad


def answer_json(body):
    request = orjson.loads(body)
    logits = torch.tensor(request["logits"], dtype=torch.float64)
    loss, gradient = loss_and_gradient(logits, torch.tensor(request["labels"]))
    answer = {"loss": loss, "gradient": gradient.numpy()}
    return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


# The format by hand: its own Python package copies more than this.
def answer_safetensors(body):
    (size,) = struct.unpack_from("<Q", body)
    header = orjson.loads(body[8 : 8 + size])

    def tensor(name, dtype):
        begin, end = header[name]["data_offsets"]
        values = numpy.frombuffer(body, dtype, (end - begin) // numpy.dtype(dtype).itemsize, 8 + size + begin)
        return torch.from_numpy(values.reshape(header[name]["shape"]).copy())

    loss, gradient = loss_and_gradient(tensor("logits", "<f4"), tensor("labels", "<i8"))
    data = gradient.numpy().tobytes()
    head = json.dumps(
        {
            "gradient": {"dtype": "F32", "shape": list(gradient.shape), "data_offsets": [0, len(data)]},
            "__metadata__": {"loss": repr(loss)},
        }
    ).encode()
    return Response(b"".join([struct.pack("<Q", len(head)), head, data]), media_type="application/safetensors")


@app.post("/v1/losses")
async def losses(request: Request):
    body = await request.body()
    if request.headers["content-type"] == "application/safetensors":
        return answer_safetensors(body)
    return answer_json(body)
