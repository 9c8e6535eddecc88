// The page of live pictures: a card for each stream, with players for low-latency HLS, WebRTC and MJPEG.
"use strict";

const RETRY_MS = 1000;
const MOST_BEHIND_S = 3;
const FAR_BEHIND_S = 1;
const BEHIND_S = 0.5; // right after a part has come: less, and pictures run out before the next one is there
const KEPT_S = 20;
const GATHER_MS = 1000;

const pause = (ms, signal) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
});

const happens = (target, name) => new Promise((done) => target.addEventListener(name, done, { once: true }));

async function get(address, signal) {
  const answer = await fetch(address, { signal });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `${answer.status}`);
  return answer;
}

function newVideo() {
  const video = document.createElement("video");
  Object.assign(video, { muted: true, autoplay: true, playsInline: true, controls: true });
  return video;
}

// What a playlist lists, in order: parts where it tells of them, else whole segments.
function readPlaylist(text) {
  const items = [];
  const value = (line, name) => new RegExp(`${name}="?([^",]+)`).exec(line)?.[1];
  let segment = 0, part = 0, head = null, ended = false;
  for (const line of text.split("\n")) {
    if (line.startsWith("#EXT-X-MEDIA-SEQUENCE:")) segment = Number(line.split(":")[1]);
    else if (line.startsWith("#EXT-X-MAP:")) head = value(line, "URI");
    else if (line.startsWith("#EXT-X-ENDLIST")) ended = true;
    else if (line.startsWith("#EXT-X-PART:")) {
      items.push({ segment, part: part++, head, uri: value(line, "URI"), key: line.includes("INDEPENDENT=YES") });
    } else if (line && !line.startsWith("#")) {
      if (!part) items.push({ segment, part: -1, head, uri: line, key: true });
      segment += 1;
      part = 0;
    }
  }
  return { items, next: { segment, part }, ended };
}

// Plays parts as they come, in a media source: lower latency than browsers' own HLS, and in all of them.
class HlsPlayer {
  constructor(base, screen, tell) {
    Object.assign(this, { base, tell, stopping: new AbortController(), head: null, buffer: null });
    this.video = newVideo();
    screen.replaceChildren(this.video);
    this.run();
  }

  stop() { this.stopping.abort(); this.video.removeAttribute("src"); this.video.load(); }

  async run() {
    if (!("MediaSource" in window)) {
      this.video.src = this.base + "video.m3u8";
      this.tell("HLS, by the browser itself");
      return;
    }
    while (!this.stopping.signal.aborted) {
      try {
        await this.play();
        if (!this.stopping.signal.aborted) this.tell("it has ended");
        return;
      } catch (error) {
        if (this.stopping.signal.aborted) return;
        this.tell(`no picture: ${error.message}`);
        await pause(RETRY_MS, this.stopping.signal);
      }
    }
  }

  async play() {
    const { signal } = this.stopping;
    const source = new MediaSource();
    this.head = this.buffer = null;
    this.video.src = URL.createObjectURL(source);
    await happens(source, "sourceopen");
    URL.revokeObjectURL(this.video.src);
    let last = null, query = "?from=part";
    while (!signal.aborted) {
      const list = readPlaylist(await (await get(this.base + "video.m3u8" + query, signal)).text());
      let items = list.items.filter((one) => !last || one.segment > last.segment
        || (one.segment === last.segment && one.part > last.part && last.part >= 0));
      if (!last) items = items.slice(Math.max(0, items.findLastIndex((one) => one.key)));
      else if (items.length && items[0].segment > last.segment + 1) throw new Error("too far behind");
      for (const item of items) {
        await this.add(source, item);
        last = item;
      }
      if (list.ended) { source.endOfStream(); return; }
      query = `?_HLS_msn=${list.next.segment}&_HLS_part=${list.next.part}`;
    }
  }

  async add(source, item) {
    const { signal } = this.stopping;
    if (item.head !== this.head) {
      const answer = await get(this.base + item.head, signal);
      const type = `video/mp4; codecs="${answer.headers.get("X-Codec")}"`;
      if (!MediaSource.isTypeSupported(type)) throw new Error(`this browser does not play ${type}`);
      if (this.buffer) this.buffer.changeType(type);
      else this.buffer = source.addSourceBuffer(type);
      await this.append(await answer.arrayBuffer());
      this.head = item.head;
    }
    await this.append(await (await get(this.base + item.uri, signal)).arrayBuffer());
    await this.keepUp();
    this.tell(`HLS, ${this.video.videoWidth} x ${this.video.videoHeight}`);
  }

  async append(data) {
    const done = happens(this.buffer, "updateend");
    this.buffer.appendBuffer(data);
    await done;
    if (this.video.error) throw new Error(this.video.error.message || "it cannot be decoded");
  }

  async keepUp() {
    const { video } = this, ranges = this.buffer.buffered;
    if (!ranges.length) return;
    const start = ranges.start(ranges.length - 1), end = ranges.end(ranges.length - 1);
    const behind = end - video.currentTime;
    if (video.currentTime < start || behind > MOST_BEHIND_S) video.currentTime = Math.max(start, end - 0.5);
    video.playbackRate = behind > FAR_BEHIND_S ? 1.1 : behind > BEHIND_S ? 1.04 : 1;
    if (ranges.start(0) < video.currentTime - 2 * KEPT_S) {
      const done = happens(this.buffer, "updateend");
      this.buffer.remove(0, video.currentTime - KEPT_S);
      await done;
    }
    if (video.paused) await video.play().catch(() => {});
  }
}

class WebRtcPlayer {
  constructor(base, screen, tell) {
    Object.assign(this, { base, tell, stopping: new AbortController(), place: null, peer: null });
    this.video = newVideo();
    screen.replaceChildren(this.video);
    this.run();
  }

  stop() {
    this.stopping.abort();
    this.leave();
  }

  leave() {
    if (this.place) fetch(this.place, { method: "DELETE", keepalive: true }).catch(() => {});
    this.peer?.close();
    this.peer = this.place = null;
  }

  async run() {
    while (!this.stopping.signal.aborted) {
      try {
        await this.play();
      } catch (error) {
        if (this.stopping.signal.aborted) return;
        this.tell(`no picture: ${error.message}`);
      }
      this.leave();
      await pause(RETRY_MS, this.stopping.signal);
    }
  }

  async play() {
    const { signal } = this.stopping;
    const peer = this.peer = new RTCPeerConnection();
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.addEventListener("track", (event) => {
      if ("jitterBufferTarget" in event.receiver) event.receiver.jitterBufferTarget = 0;
      this.video.srcObject = new MediaStream([event.track]);
    });
    await peer.setLocalDescription(await peer.createOffer());
    const gathered = new Promise((done) => {
      const look = () => peer.iceGatheringState === "complete" && done();
      peer.addEventListener("icegatheringstatechange", look);
      look();
    });
    await Promise.race([gathered, pause(GATHER_MS, signal)]);
    const answer = await fetch(this.base + "whep", {
      method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp, signal,
    });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    this.place = answer.headers.get("Location");
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    this.tell("WebRTC, connecting");
    while (!signal.aborted) {
      if (["failed", "closed", "disconnected"].includes(peer.connectionState)) throw new Error("the connection is lost");
      if (this.video.videoWidth) this.tell(`WebRTC, ${this.video.videoWidth} x ${this.video.videoHeight}`);
      await pause(RETRY_MS, signal);
    }
  }
}

class MjpegPlayer {
  constructor(base, screen, tell) {
    this.image = document.createElement("img");
    this.image.alt = "live pictures";
    this.image.addEventListener("load", () => tell(`MJPEG, ${this.image.naturalWidth} x ${this.image.naturalHeight}`));
    this.image.addEventListener("error", () => {
      if (this.stopped) return;
      tell("no picture");
      this.timer = setTimeout(() => { this.image.src = this.address(); }, RETRY_MS);
    });
    this.address = () => `${base}video.mjpeg?n=${Date.now()}`;
    this.image.src = this.address();
    screen.replaceChildren(this.image);
  }

  stop() { this.stopped = true; clearTimeout(this.timer); this.image.src = ""; this.image.remove(); }
}

const PLAYERS = { hls: HlsPlayer, webrtc: WebRtcPlayer, mjpeg: MjpegPlayer };
const NAMES = { hls: "HLS", webrtc: "WebRTC", mjpeg: "MJPEG" };
const cards = new Map();

function offers(stream) {
  const found = [];
  for (const [pictures, why] of Object.entries(stream.pictures)) {
    found.push({ pictures, by: "hls", why: why.video }, { pictures, by: "webrtc", why: why.webrtc });
    if (why.stills) found.push({ pictures, by: "mjpeg", why: null });
  }
  return found;
}

function makeCard(name) {
  const node = document.getElementById("card").content.firstElementChild.cloneNode(true);
  node.id = `stream-${name}`;
  node.querySelector("h2").textContent = name;
  document.getElementById("streams").append(node);
  const card = { node, player: null, buttons: new Map() };
  cards.set(name, card);
  return card;
}

function choose(name, card, choice, button) {
  card.player?.stop();
  const again = button.getAttribute("aria-pressed") === "true";
  for (const one of card.buttons.values()) one.setAttribute("aria-pressed", "false");
  const state = card.node.querySelector(".state"), screen = card.node.querySelector(".screen");
  card.player = null;
  state.textContent = "not playing";
  screen.replaceChildren();
  if (again) return;
  button.setAttribute("aria-pressed", "true");
  state.textContent = "connecting";
  card.player = new PLAYERS[choice.by](`${encodeURIComponent(name)}/${choice.pictures}/`, screen,
    (text) => { state.textContent = text; });
}

function show(streams) {
  document.getElementById("empty")?.toggleAttribute("hidden", streams.length > 0);
  for (const stream of streams) {
    const card = cards.get(stream.name) ?? makeCard(stream.name);
    for (const choice of offers(stream)) {
      const id = `${choice.pictures}-${choice.by}`;
      if (!card.buttons.has(id)) {
        const button = document.createElement("button");
        button.className = id;
        button.textContent = `${choice.pictures}, ${NAMES[choice.by]}`;
        button.setAttribute("aria-pressed", "false");
        button.addEventListener("click", () => choose(stream.name, card, choice, button));
        card.node.querySelector(".choices").append(button);
        card.buttons.set(id, button);
      }
      card.buttons.get(id).disabled = Boolean(choice.why);
      card.buttons.get(id).title = choice.why ?? "";
    }
  }
}

async function refresh() {
  const note = document.getElementById("viewers");
  try {
    const told = await (await get("streams.json")).json();
    show(told.streams);
    note.textContent = `${told.viewers.now} of at most ${told.viewers.most} viewers`;
  } catch (error) {
    note.textContent = `sightline does not answer: ${error.message}`;
  }
  setTimeout(refresh, 3000);
}

// The server learns at once that a viewer has left, not when his connection has been silent for half a minute.
window.addEventListener("pagehide", () => {
  for (const card of cards.values()) card.player?.stop();
});
refresh();
