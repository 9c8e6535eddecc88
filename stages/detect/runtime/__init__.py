"""Networks at work: one interface over ONNX Runtime and OpenVINO, and one network shared by many streams.

    options -> lease_inference(...) -> InferenceClient.run(inputs) -> outputs

`files` reads what a file wants and gives without loading a runtime; `choice` opens it with the runtime of
the options, or with the fastest one of this box; `shared` runs it for all streams of a process.
"""
