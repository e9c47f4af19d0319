// A guest that does what a test tells it to: the body of an async function, with everything that it imports in reach.
import { handle } from "wasi:http/outgoing-handler@0.2.3";
import * as clock from "wasi:clocks/monotonic-clock@0.2.3";
import * as http from "wasi:http/types@0.2.3";
import * as poll from "wasi:io/poll@0.2.3";
import * as streams from "wasi:io/streams@0.2.3";
import * as config from "prx:host/config@0.1.0";

const encode = (text) => new TextEncoder().encode(text);
const decode = (bytes) => new TextDecoder().decode(bytes);

// An outgoing request without a body: `headers` are pairs of text.
function request(url, method = "get", headers = []) {
  const [, scheme, authority, path] = /^(\w+):\/\/([^/?]*)(.*)$/.exec(url);
  const made = new http.OutgoingRequest(http.Fields.fromList(headers.map(([name, value]) => [name, encode(value)])));
  made.setMethod({ tag: method });
  made.setScheme({ tag: scheme.toUpperCase() });
  made.setAuthority(authority);
  made.setPathWithQuery(path);
  return made;
}

// What came of a request: status and body as text, or the name of the error code.
function outcome(future) {
  future.subscribe().block();
  const got = future.get().val;
  if (got.tag === "err") return got.val.tag;
  const body = got.val.consume();
  const stream = body.stream();
  let text = "";
  try {
    for (;;) text += decode(stream.blockingRead(0xffffffffffffffffn));
  } catch (end) {
    if (end.payload?.tag !== "closed") throw end;
  }
  return `${got.val.status()} ${text}`;
}

// What a function of WIT says no with.
function refusal(run) {
  try {
    run();
  } catch (error) {
    if (error.payload === undefined && !("payload" in error)) throw error;
    return error.payload?.tag ?? error.payload ?? "no reason";
  }
  return "none";
}

const reach = { handle, clock, http, poll, streams, config, encode, decode, request, outcome, refusal };
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;

export async function evaluate(script) {
  const value = await new AsyncFunction(...Object.keys(reach), script)(...Object.values(reach));
  return JSON.stringify(value ?? null);
}
