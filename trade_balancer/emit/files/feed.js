// The connection: said hello, asked for, measured, and made again. Law: knows nothing of what is shown.

const PING_MS = 2000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30000;
const CLOCKS = 8;

export class Feed {
  // `on`: values(said), state(word, level), pong(said), wantsToken()
  constructor(topics, on) {
    this.topics = topics;
    this.on = on;
    this.token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
    this.retryMs = FIRST_RETRY_MS;
    this.hintMs = null; // what the server has said at its end
    this.clocks = [];
    this.offsetMs = 0; // the server's clock less ours
    this.screenMs = null;
    this.connect();
  }

  // The server's time at a moment of performance.now().
  serverMs(atMs) {
    return performance.timeOrigin + atMs + this.offsetMs;
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws`);
    this.socket = socket;
    socket.onopen = () => {
      this.say("auth", this.token);
      this.say("subscribe", this.topics);
      this.ping();
      this.pinging = setInterval(() => this.ping(), PING_MS);
    };
    socket.onmessage = (message) => this.hear(JSON.parse(message.data));
    socket.onclose = (close) => this.lose(close);
  }

  say(action, params, more) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ action, params, ...more }));
  }

  ping() {
    this.say("ping", null, { id: Math.round(performance.now() * 1000), screen_ms: this.screenMs });
  }

  hear(said) {
    if (Array.isArray(said)) this.told(said);
    else if ("tick" in said) this.on.values(said);
    else if ("pong" in said) this.take(said);
  }

  told(statuses) {
    for (const { status, retry_ms } of statuses) {
      if (status === "auth_failed") this.isRefused = true;
      if (status === "leaving") this.hintMs = retry_ms;
    }
  }

  // The clock of the quickest answer of the last ones is the best.
  take(pong) {
    const nowMs = performance.now();
    const sentMs = pong.pong / 1000;
    this.clocks.push({ roundMs: nowMs - sentMs, offsetMs: pong.ms - performance.timeOrigin - (nowMs + sentMs) / 2 });
    if (this.clocks.length > CLOCKS) this.clocks.shift();
    this.offsetMs = this.clocks.reduce((best, each) => (each.roundMs < best.roundMs ? each : best)).offsetMs;
    this.retryMs = FIRST_RETRY_MS;
    if (pong.source === "here") this.on.state("live", "good");
    else this.on.state("no news: the source is lost", "error");
    this.on.pong(pong);
  }

  lose(close) {
    clearInterval(this.pinging);
    this.clocks = [];
    if (this.isRefused) {
      this.isRefused = false;
      this.on.state("a token is wanted", "warning");
      this.on.wantsToken();
      return;
    }
    // Jitter: those who were lost together do not come back together.
    const waitMs = this.hintMs ?? this.retryMs * (0.5 + Math.random());
    this.hintMs = null;
    this.retryMs = Math.min(2 * this.retryMs, LONGEST_RETRY_MS);
    this.on.state(close.code === 1013 ? "too slow: connecting again" : "connecting again", "error");
    setTimeout(() => this.connect(), waitMs);
  }

  letIn(token) {
    this.token = token;
    this.on.state("connecting", "unknown");
    this.connect();
  }
}
