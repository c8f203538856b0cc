// Runs an exported model with ONNX Runtime on the CPU, one thread unless told otherwise.
//
//   node onnx_runtime.js classify MODEL PIXELS FOLDER
//     writes every output for all images to FOLDER/<output's name>, raw.
//   node onnx_runtime.js bench MODEL PIXELS THREADS wall|cpu
//     answers each line of standard input with one line: "first" with the probabilities of the first
//     image, "memory" with the bytes by which the process has grown since before the model was
//     loaded, a number N with the seconds of a batch of N.
//
// PIXELS is a file of images in the model's input layout. Needs onnxruntime-node on NODE_PATH.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const ort = require('onnxruntime-node');

const CLASSIFY_BATCH = 64;

function open(model, threads) {
  return ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    // Where products of unsigned and signed bytes would saturate (no VNNI), this makes the weights
    // unsigned.
    extra: {session: {x64quantprecision: '1'}},
  });
}

// [height, width, channels] of the model's input.
function imageShape(session) {
  return session.inputMetadata[0].shape.slice(1).map(Number);
}

function images(session, pixels, first, count) {
  const shape = imageShape(session);
  const size = shape.reduce((a, b) => a * b);
  return {image: new ort.Tensor('uint8', pixels.subarray(first * size, (first + count) * size),
                                [count, ...shape])};
}

async function classify(model, pixelsFile, folder) {
  const session = await open(model, 1);
  const pixels = new Uint8Array(fs.readFileSync(pixelsFile));
  const count = pixels.length / imageShape(session).reduce((a, b) => a * b);
  const files = new Map(session.outputNames.map(
      (name) => [name, fs.openSync(path.join(folder, name), 'w')]));
  for (let first = 0; first < count; first += CLASSIFY_BATCH) {
    const batch = Math.min(CLASSIFY_BATCH, count - first);
    const outputs = await session.run(images(session, pixels, first, batch));
    for (const [name, file] of files) {
      const data = outputs[name].data;
      fs.writeSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }
}

function now(time) {
  if (time === 'wall') return Number(process.hrtime.bigint()) * 1e-9;
  const usage = process.cpuUsage();
  return (usage.user + usage.system) * 1e-6;
}

async function bench(model, pixelsFile, threads, time) {
  const memory = process.memoryUsage.rss();
  const session = await open(model, Number(threads));
  const pixels = new Uint8Array(fs.readFileSync(pixelsFile));
  for await (const question of readline.createInterface({input: process.stdin})) {
    if (question === 'first') {
      const outputs = await session.run(images(session, pixels, 0, 1));
      console.log(Array.from(outputs.probabilities.data).join(' '));
      continue;
    }
    if (question === 'memory') {
      console.log(process.memoryUsage.rss() - memory);
      continue;
    }
    const feeds = images(session, pixels, 0, Number(question));
    const start = now(time);
    await session.run(feeds);
    console.log(now(time) - start);
  }
}

const [command, ...args] = process.argv.slice(2);
({classify, bench})[command](...args).catch((error) => {
  console.error(`onnx_runtime.js: ${error.message}`);
  process.exit(1);
});
