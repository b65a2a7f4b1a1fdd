// Prints the median time, in seconds, of one inference in ONNX Runtime.
// usage: node onnx_runtime.js FILE.onnx 3x224x224 BATCH THREADS SECONDS
const ort = require('onnxruntime-node');
const [file, picture, batch, threads, seconds] = process.argv.slice(2);

async function main() {
  const session = await ort.InferenceSession.create(file, {
    intraOpNumThreads: Number(threads),
    graphOptimizationLevel: 'all',
    executionProviders: ['cpu'],
  });
  const shape = [Number(batch), ...picture.split('x').map(Number)];
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < data.length; i++) data[i] = Math.random() * 2 - 1;
  const feed = {[session.inputNames[0]]: new ort.Tensor('float32', data, shape)};
  for (let i = 0; i < 2; i++) await session.run(feed);
  const times = [];
  const end = performance.now() + 1000 * Number(seconds);
  while (times.length < 3 || performance.now() < end) {
    const start = performance.now();
    await session.run(feed);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  console.log(times[times.length >> 1] / 1000);
}
main();
