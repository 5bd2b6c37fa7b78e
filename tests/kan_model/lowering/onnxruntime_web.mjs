// Runs a model in onnxruntime-web's WebAssembly: MODEL, ROWS (float32, row by row) and COLUMNS in, ANSWERS (float32) out.
import { readFileSync, writeFileSync } from "node:fs";

import * as ort from "onnxruntime-web";

const [modelFile, rowsFile, columns, answersFile] = process.argv.slice(2);
const bytes = readFileSync(rowsFile);
const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Float32Array.BYTES_PER_ELEMENT);

ort.env.wasm.numThreads = 1; // more would start workers, which keep the process alive
const session = await ort.InferenceSession.create(readFileSync(modelFile), { executionProviders: ["wasm"] });
const rows = new ort.Tensor("float32", values, [values.length / columns, Number(columns)]);
const answers = await session.run({ [session.inputNames[0]]: rows });
writeFileSync(answersFile, answers[session.outputNames[0]].data);
