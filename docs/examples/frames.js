// Keeps the newest picture of a stream: npm install zeromq @msgpack/msgpack && node frames.js tcp://127.0.0.1:5578 gate
const fs = require("fs");
const zmq = require("zeromq");
const { decode } = require("@msgpack/msgpack");

async function main([endpoint, stream]) {
  const socket = new zmq.Subscriber({ receiveHighWaterMark: 2 });
  socket.connect(endpoint);
  socket.subscribe(`frame/${stream}`);
  for await (const [topic, header, jpeg] of socket) {
    const frame = decode(header);
    if (frame.v !== 1) continue;
    console.log(frame.time, frame.sequence, frame.tracks && frame.tracks.id);
    fs.writeFileSync(`${stream}.jpg`, jpeg);
  }
}
main(process.argv.slice(2));
