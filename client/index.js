// Generated from src/client by scripts/print-client.ts.
// src/client/call-protocol.ts
const WORDS = [
	"CALLING",
	"READY",
	"QUITTING"
];
const isObject$1 = (value) => typeof value === "object" && value !== null;
const textOf = (value) => typeof value === "string" ? value : void 0;
/** Parses a result of `SIGNALS`; undefined for any other signal. */
function parseSignal(data) {
	const signal = isObject$1(data) ? data["signals"] : void 0;
	if (!isObject$1(signal) || !isObject$1(signal["sender"]) || !isObject$1(signal["content"])) return void 0;
	const senderId = textOf(signal["sender"]["id"]);
	const { message, from, to } = signal["content"];
	const isMessage = WORDS.includes(message) || isObject$1(message) && ["sdp", "candidate"].includes(String(message["type"])) && isObject$1(message["data"]);
	if (senderId === void 0 || !isMessage) return void 0;
	return {
		senderId,
		message,
		from: textOf(from),
		to: textOf(to)
	};
}
// src/client/problem.ts
/** End reasons and codes after which the stream can resume, on another node or later (docs/errors.md). */
const TRANSIENT_REASONS = /* @__PURE__ */ new Set([
	"DRAINING",
	"OPERATOR",
	"SLOW"
]);
const TRANSIENT_CODES = /* @__PURE__ */ new Set(["UNAVAILABLE", "RATE_LIMITED"]);
/** WebSocket close codes that a retry would repeat: the request or its token is invalid. */
const FATAL_CLOSES = /* @__PURE__ */ new Set([
	1003,
	1007,
	1008,
	1009,
	1010,
	4004,
	4400,
	4401,
	4403,
	4406,
	4409,
	4500
]);
/** setTimeout fires immediately for delays above 2^31 - 1 ms. */
const MAX_WAIT_MS = 36e5;
/** HTTP statuses below 500 that are worth a retry. */
const TRANSIENT_STATUSES = /* @__PURE__ */ new Set([
	408,
	421,
	425,
	429
]);
const isHeaders = (value) => isObject(value) && typeof value["get"] === "function";
const RETRY = {
	type: "retry",
	afterMs: 0
};
const FATAL = { type: "fatal" };
/** Classifies GraphQL errors, WebSocket close events, HTTP responses and network errors. */
function classify(problem) {
	if (!isObject(problem)) return FATAL;
	if (Array.isArray(problem)) return classifyErrors(problem);
	if (isObject(problem["extensions"])) return classifyErrors([problem]);
	if (isObject(problem["response"])) return classifyResponse(problem["response"]);
	if (typeof problem["code"] === "number" && "reason" in problem) return FATAL_CLOSES.has(problem["code"]) ? FATAL : RETRY;
	return RETRY;
}
function classifyErrors(errors) {
	for (const error of errors) {
		const { code, reason, oldest, retryAfterMs } = isObject(error) && isObject(error["extensions"]) ? error["extensions"] : {};
		if (code === "CURSOR_EXPIRED" || code === "CURSOR_INVALID") return {
			type: "expired",
			code,
			...typeof oldest === "string" && { oldest }
		};
		if (TRANSIENT_REASONS.has(reason) || reason === void 0 && TRANSIENT_CODES.has(code)) return retryAfter(typeof retryAfterMs === "number" ? retryAfterMs : 0);
	}
	return FATAL;
}
function classifyResponse(response) {
	const { status, headers } = response;
	if (typeof status !== "number" || status < 400) return RETRY;
	if (status < 500 && !TRANSIENT_STATUSES.has(status)) return FATAL;
	return retryAfter(isHeaders(headers) ? retryAfterOf(headers) : 0);
}
const retryAfter = (ms) => ({
	type: "retry",
	afterMs: ms > 0 ? Math.min(ms, MAX_WAIT_MS) : 0
});
/** Returns the `Retry-After` header, in seconds or a date, as milliseconds from now. */
function retryAfterOf(headers) {
	const text = headers.get("retry-after") ?? "";
	return /^\d+$/.test(text) ? Number(text) * 1e3 : Date.parse(text) - Date.now();
}
const isObject = (value) => typeof value === "object" && value !== null;
// src/client/call.ts
/** How often a client that calls repeats `CALLING`: the other one may not be ready for signals yet. */
const CALLING_INTERVAL_MS = 1e3;
/** Longer: the apps answer each `READY` with an offer. */
const READY_INTERVAL_MS = 2e3;
/** A client has about ten; each is a line of text. */
const MAX_EARLY_CANDIDATES = 100;
const SIGNALS = "subscription { signals { content sender { ... on User { id } ... on Device { id } } } }";
const SEND_SIGNAL = "mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }";
/** A call of `connectCall`. */
var Call = class {
	#options;
	#client;
	#polite;
	#unsubscribe;
	#timer;
	/** Whether offers may be sent: the other client has answered, or called. */
	#isReady = false;
	#isMakingOffer = false;
	#isSettingAnswer = false;
	#ignoresOffer = false;
	/** Candidates that arrived before the first description. */
	#earlyCandidates = [];
	/** Signals are handled, and sent, one after the other. */
	#received = Promise.resolve();
	#sent = Promise.resolve();
	#isStopped = false;
	constructor(options) {
		this.#options = options;
		this.#client = options.client;
		this.#polite = options.polite ?? isPolite(options);
		const { connection } = options;
		connection.addEventListener("negotiationneeded", this.#onNegotiationNeeded);
		connection.addEventListener("icecandidate", this.#onCandidate);
		this.#unsubscribe = this.#client.subscribe({ query: SIGNALS }, {
			next: ({ data }) => this.#receive(parseSignal(data)),
			error: (problem) => this.#fail(problem),
			complete: () => void 0
		});
		const greet = () => void this.#send(options.calls ? "CALLING" : "READY").catch(() => void 0);
		this.#timer = setInterval(greet, options.calls ? CALLING_INTERVAL_MS : READY_INTERVAL_MS);
		greet();
	}
	async hangUp() {
		if (this.#isStopped) return;
		this.stop();
		await this.#send("QUITTING").catch(() => void 0);
	}
	stop() {
		if (this.#isStopped) return;
		this.#isStopped = true;
		clearInterval(this.#timer);
		const { connection } = this.#options;
		connection.removeEventListener("negotiationneeded", this.#onNegotiationNeeded);
		connection.removeEventListener("icecandidate", this.#onCandidate);
		this.#unsubscribe();
	}
	#onNegotiationNeeded = () => {
		if (this.#isReady) this.#report(this.#offer());
	};
	#onCandidate = ({ candidate }) => {
		if (candidate != null) this.#report(this.#send({
			type: "candidate",
			data: candidate.toJSON()
		}));
	};
	async #offer() {
		const { connection } = this.#options;
		try {
			this.#isMakingOffer = true;
			await connection.setLocalDescription();
			await this.#sendDescription();
		} finally {
			this.#isMakingOffer = false;
		}
	}
	async #sendDescription() {
		const { localDescription } = this.#options.connection;
		if (localDescription === null) return;
		const { type, sdp } = localDescription;
		await this.#send({
			type: "sdp",
			data: {
				type,
				...sdp !== void 0 && { sdp }
			}
		});
	}
	#receive(signal) {
		const { accountId, participantId, otherParticipantId } = this.#options;
		if (signal === void 0 || signal.senderId !== accountId || this.#isStopped) return;
		const { from, to, message } = signal;
		if (to !== void 0 && participantId !== void 0 && to !== participantId) return;
		if (from !== void 0 && otherParticipantId !== void 0 && from !== otherParticipantId) return;
		this.#received = this.#received.then(() => this.#handle(message)).catch((error) => this.#fail(error));
	}
	async #handle(message) {
		if (this.#isStopped) return;
		if (message === "QUITTING") {
			this.stop();
			return this.#options.onHangUp?.();
		}
		if (message === "CALLING") {
			if (!this.#options.calls) return this.#send("READY");
			return this.#options.otherParticipantId === void 0 ? void 0 : this.#start();
		}
		if (message === "READY") return this.#options.calls ? this.#start() : void 0;
		if (message.type === "candidate") return this.#addCandidate(message.data);
		clearInterval(this.#timer);
		this.#isReady = true;
		await this.#setDescription(message);
	}
	/** Sends the first offer, or sends it again: the client that is ready has not received it. */
	async #start() {
		const wasReady = this.#isReady;
		this.#isReady = true;
		if (!wasReady) await this.#offer();
		else if (this.#options.connection.signalingState === "have-local-offer") await this.#sendDescription();
		if (this.#options.otherParticipantId === void 0) clearInterval(this.#timer);
	}
	async #setDescription({ data }) {
		const { connection } = this.#options;
		const isStable = !this.#isMakingOffer && (connection.signalingState === "stable" || this.#isSettingAnswer);
		this.#ignoresOffer = data.type === "offer" && !isStable && !this.#polite;
		if (this.#ignoresOffer) return;
		if (data.type === "answer" && connection.signalingState !== "have-local-offer") return;
		this.#isSettingAnswer = data.type === "answer";
		try {
			await connection.setRemoteDescription(data);
		} finally {
			this.#isSettingAnswer = false;
		}
		for (const candidate of this.#earlyCandidates.splice(0)) await connection.addIceCandidate(candidate).catch(() => void 0);
		if (data.type !== "offer") return;
		await connection.setLocalDescription();
		await this.#sendDescription();
	}
	async #addCandidate(candidate) {
		const { connection } = this.#options;
		if (connection.remoteDescription === null && !this.#ignoresOffer) {
			if (this.#earlyCandidates.length < MAX_EARLY_CANDIDATES) this.#earlyCandidates.push(candidate);
			return;
		}
		try {
			await connection.addIceCandidate(candidate);
		} catch (error) {
			if (!this.#ignoresOffer) throw error;
		}
	}
	#send(message) {
		const { accountId, participantId: from, otherParticipantId: to } = this.#options;
		const target = accountId.startsWith("Device:") ? { deviceId: accountId } : { userId: accountId };
		const content = {
			message,
			...from !== void 0 && { from },
			...to !== void 0 && { to }
		};
		const send = () => this.#run({
			to: target,
			content
		});
		const sent = this.#sent.then(send, send);
		this.#sent = sent.catch(() => void 0);
		return sent;
	}
	#run(variables) {
		return new Promise((resolve, reject) => {
			this.#client.subscribe({
				query: SEND_SIGNAL,
				variables
			}, {
				next: ({ errors }) => errors === void 0 ? resolve() : reject(new SignalError(errors)),
				error: reject,
				complete: resolve
			});
		});
	}
	#report(work) {
		work.catch((error) => this.#fail(error));
	}
	#fail(error) {
		if (this.#isStopped) return;
		if (error instanceof SignalError && error.code === "UNREACHABLE" && this.#options.connection.remoteDescription === null) return;
		this.#options.onError?.(error);
	}
};
/** Whether the client gives way. Of two with participant ids, exactly one does. */
function isPolite({ calls, participantId: own, otherParticipantId: other }) {
	if (own === void 0 || other === void 0) return !calls;
	return own.length === other.length ? own < other : own.length < other.length;
}
/** A signal that was not sent. */
var SignalError = class extends Error {
	name = "SignalError";
	/** The errors of the response. */
	errors;
	/** The code of the first one (docs/errors.md). */
	code;
	constructor(errors) {
		const error = isObject(errors[0]) ? errors[0] : {};
		super(`The signal was not sent. ${String(error["message"])}`);
		this.errors = errors;
		this.code = isObject(error["extensions"]) ? error["extensions"]["code"] : void 0;
	}
};
// src/client/connection-monitor.ts
const TERMINATED = 4499;
const FORBIDDEN = 4403;
const OPEN = 1;
const PING = JSON.stringify({ type: "ping" });
/** Fraction of the silence timeout after which a ping is sent. */
const PING_AT = 2 / 3;
/** Watches the WebSocket of a graphql-ws client and abandons it when it is silent for too long. */
var ConnectionMonitor = class {
	#client;
	#silenceMs;
	#followers = /* @__PURE__ */ new Set();
	#unlisten = [];
	#socket;
	#isConnecting = false;
	#connectingAt = 0;
	#receivedAt = 0;
	#isPinged = false;
	#timer;
	/** `ws` 8 emits an uncaught error when closed while connecting; browsers do not. */
	#mayCloseEarly = "document" in globalThis || "WorkerGlobalScope" in globalThis;
	/** Consecutive closes with 4403 (token rejected): after the first, the app may provide another token. */
	#rejections = 0;
	constructor(client, silenceMs) {
		this.#client = client;
		this.#silenceMs = silenceMs;
		this.#listen("connecting", () => {
			this.#isConnecting = true;
			this.#connectingAt = performance.now();
			this.#markReceived();
			this.#watch();
		});
		this.#listen("opened", (socket) => {
			this.#isConnecting = false;
			this.#socket = isSocket(socket) ? socket : void 0;
			this.#mayCloseEarly = this.#socket?.terminate === void 0;
			this.#markReceived();
			this.#watch();
		});
		this.#listen("connected", () => void (this.#rejections = 0));
		this.#listen("message", () => this.#markReceived());
		this.#listen("closed", (event) => this.#onClosed(event));
	}
	/** Time at which the client last started to connect, after its own retry delay. */
	get connectingAt() {
		return this.#connectingAt;
	}
	get isOpen() {
		return this.#socket !== void 0;
	}
	add(follower) {
		this.#followers.add(follower);
		if (this.#timer === void 0) this.#watch();
	}
	delete(follower) {
		this.#followers.delete(follower);
		if (this.#followers.size === 0) this.#stopTimer();
	}
	/** Removes its listeners and its timer. */
	close() {
		for (const unlisten of this.#unlisten) unlisten();
		this.#stopTimer();
	}
	#listen(event, listener) {
		const unlisten = this.#client.on?.(event, listener);
		if (unlisten !== void 0) this.#unlisten.push(unlisten);
	}
	#onClosed(event) {
		this.#socket = void 0;
		this.#isConnecting = false;
		this.#stopTimer();
		const code = isObject(event) ? event["code"] : void 0;
		this.#rejections = code === FORBIDDEN ? this.#rejections + 1 : 0;
		for (const follower of this.#followers) if (this.#rejections > 1) follower.onProblem(event);
		else follower.onLost(code === TERMINATED);
	}
	#markReceived() {
		this.#receivedAt = performance.now();
		this.#isPinged = false;
	}
	#stopTimer() {
		clearTimeout(this.#timer);
		this.#timer = void 0;
	}
	#watch() {
		this.#stopTimer();
		if (this.#followers.size === 0 || !(this.#silenceMs > 0)) return;
		const quietMs = performance.now() - this.#receivedAt;
		const dueMs = this.#isConnecting ? this.#watchConnecting(quietMs) : this.#watchOpen(quietMs);
		if (dueMs !== void 0) this.#timer = setTimeout(() => this.#watch(), dueMs);
	}
	/** Returns the milliseconds until the next check. */
	#watchConnecting(quietMs) {
		if (quietMs < this.#silenceMs) return this.#silenceMs - quietMs;
		if (this.#mayCloseEarly) this.#client.terminate?.();
	}
	/** Pings a silent socket, then terminates it: any message ends the silence. Returns the milliseconds until the next check. */
	#watchOpen(quietMs) {
		const socket = this.#socket;
		if (socket === void 0) return void 0;
		const pingMs = this.#silenceMs * PING_AT;
		if (quietMs < pingMs) return pingMs - quietMs;
		if (!this.#isPinged) {
			this.#isPinged = true;
			if (socket.readyState === OPEN) socket.send(PING);
			return this.#silenceMs - pingMs;
		}
		this.#client.terminate?.();
		socket.terminate?.();
	}
};
const isSocket = (value) => isObject(value) && typeof value["send"] === "function";
// src/client/tokens.ts
/** Matches one token after ignored characters: a string, a name, or punctuation. */
const TOKEN = /(?:[\s,\uFEFF]|#[^\n\r]*)*(?:("""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n\r])*")|([A-Za-z_]\w*|-?\d[\w.+-]*|\.\.\.|[!$&()/:=@[\]{|}])|$)/y;
/** Placeholder for all strings, whose content does not matter here. */
const STRING = "\"";
/** Splits a document into tokens. Throws SyntaxError for text that is not GraphQL. */
function tokenize(text) {
	const tokens = splitTokens(text);
	let index = 0;
	const take = () => {
		const token = tokens[index];
		if (token === void 0) throw new SyntaxError("Unexpected end of the document.");
		index += 1;
		return token;
	};
	const skip = (token) => {
		if (tokens[index] !== token) return false;
		index += 1;
		return true;
	};
	return {
		get next() {
			return tokens[index];
		},
		take,
		skip,
		expect(token) {
			if (!skip(token)) throw new SyntaxError(`Expected ${token} in the document.`);
		},
		takeName() {
			const name = take();
			if (!/^[A-Za-z_]/.test(name)) throw new SyntaxError(`Expected a name in the document, found ${name}.`);
			return name;
		},
		skipStrings() {
			while (skip(STRING));
		}
	};
}
function splitTokens(text) {
	const tokens = [];
	const pattern = new RegExp(TOKEN);
	while (pattern.lastIndex < text.length) {
		const match = pattern.exec(text);
		if (match === null) throw new SyntaxError("The document is not GraphQL.");
		if (match[1] !== void 0) tokens.push(STRING);
		else if (match[2] !== void 0) tokens.push(match[2]);
		else break;
	}
	return tokens;
}
// src/client/document.ts
const KINDS = /* @__PURE__ */ new Set([
	"query",
	"mutation",
	"subscription"
]);
/** Parses an executable document. Throws SyntaxError for anything else, and RangeError if it nests too deep. */
function parseDocument(text) {
	const tokens = tokenize(text);
	const operations = [];
	const fragments = /* @__PURE__ */ new Map();
	while (tokens.next !== void 0) {
		tokens.skipStrings();
		if (tokens.skip("fragment")) {
			const name = tokens.takeName();
			tokens.expect("on");
			tokens.takeName();
			skipDirectives(tokens);
			fragments.set(name, parseSelections(tokens));
		} else operations.push(parseOperation(tokens));
	}
	return {
		operations,
		fragments
	};
}
function parseOperation(tokens) {
	if (tokens.next === "{") return {
		kind: "query",
		name: void 0,
		variables: /* @__PURE__ */ new Map(),
		selections: parseSelections(tokens)
	};
	const kind = tokens.takeName();
	if (!KINDS.has(kind)) throw new SyntaxError(`The document defines ${kind}, which is not executable.`);
	const name = tokens.next !== "(" && tokens.next !== "@" && tokens.next !== "{" ? tokens.takeName() : void 0;
	const variables = parseVariables(tokens);
	skipDirectives(tokens);
	return {
		kind,
		name,
		variables,
		selections: parseSelections(tokens)
	};
}
function parseVariables(tokens) {
	const variables = /* @__PURE__ */ new Map();
	if (!tokens.skip("(")) return variables;
	while (!tokens.skip(")")) {
		tokens.skipStrings();
		tokens.expect("$");
		const name = tokens.takeName();
		tokens.expect(":");
		variables.set(name, parseType(tokens));
		if (tokens.skip("=")) skipValue(tokens);
		skipDirectives(tokens);
	}
	return variables;
}
function parseType(tokens) {
	let type;
	if (tokens.skip("[")) {
		type = `[${parseType(tokens)}]`;
		tokens.expect("]");
	} else type = tokens.takeName();
	tokens.skip("!");
	return type;
}
function parseSelections(tokens) {
	const selections = [];
	tokens.expect("{");
	while (!tokens.skip("}")) selections.push(parseSelection(tokens));
	return selections;
}
function parseSelection(tokens) {
	if (!tokens.skip("...")) return {
		type: "field",
		field: parseField(tokens)
	};
	if (tokens.skip("on")) tokens.takeName();
	else if (tokens.next !== "@" && tokens.next !== "{") {
		const name = tokens.takeName();
		skipDirectives(tokens);
		return {
			type: "spread",
			name
		};
	}
	skipDirectives(tokens);
	return {
		type: "inline",
		selections: parseSelections(tokens)
	};
}
function parseField(tokens) {
	const key = tokens.takeName();
	const name = tokens.skip(":") ? tokens.takeName() : key;
	const variables = tokens.next === "(" ? skipValue(tokens) : [];
	skipDirectives(tokens);
	return {
		name,
		key,
		variables,
		selections: tokens.next === "{" ? parseSelections(tokens) : []
	};
}
function skipDirectives(tokens) {
	while (tokens.skip("@")) {
		tokens.takeName();
		if (tokens.next === "(") skipValue(tokens);
	}
}
const OPENING = /* @__PURE__ */ new Set([
	"(",
	"[",
	"{"
]);
const CLOSING = /* @__PURE__ */ new Set([
	")",
	"]",
	"}"
]);
/** Skips a value, or a bracketed group, and returns the variables in it. */
function skipValue(tokens) {
	const variables = [];
	let depth = 0;
	do {
		const token = tokens.take();
		if (OPENING.has(token)) depth += 1;
		else if (CLOSING.has(token)) depth -= 1;
		else if (token === "$") variables.push(tokens.takeName());
	} while (depth > 0);
	return variables;
}
// src/client/plan.ts
/** Classifies an operation. Throws for a durable subscription that selects no `cursor`: it could not resume. */
function planOperation(payload, cursorVariable) {
	const { query, operationName } = payload;
	if (typeof query !== "string" || query.trim() === "") return {
		type: "unknown",
		cursor: {
			variable: cursorVariable,
			cursorKeys: ["cursor"],
			typenameKeys: ["__typename"]
		}
	};
	const document = tryParse(query);
	const operation = document && operationOf(document, operationName);
	if (document === void 0 || operation?.kind !== "subscription") return { type: "plain" };
	const [root] = fieldsOf(document, operation.selections);
	const variable = root && cursorVariableOf(operation, root);
	if (root === void 0 || variable === void 0) return { type: "ephemeral" };
	const keysOf = (name) => fieldsOf(document, root.selections).filter((field) => field.name === name).map((field) => field.key);
	const cursorKeys = keysOf("cursor");
	if (cursorKeys.length === 0) throw new Error(noCursorMessage(`The subscription ${root.name}`));
	return {
		type: "durable",
		cursor: {
			variable,
			cursorKeys,
			typenameKeys: keysOf("__typename")
		}
	};
}
const noCursorMessage = (subject) => `${subject} has a cursor variable but selects no \`cursor\`, so it could not resume after a disconnect. Select \`cursor\` on every event.`;
/** Parses a document; undefined if it is malformed, which the server reports. */
function tryParse(text) {
	try {
		return parseDocument(text);
	} catch {
		return;
	}
}
function operationOf({ operations }, name) {
	if (typeof name === "string" && name !== "") return operations.find((operation) => operation.name === name);
	return operations.length === 1 ? operations[0] : void 0;
}
const cursorVariableOf = ({ variables }, root) => root.variables.find((name) => variables.get(name) === "Cursor");
/** Lists the fields of a selection, including those of its fragments. */
function fieldsOf(document, selections, seen = /* @__PURE__ */ new Set()) {
	return selections.flatMap((selection) => {
		switch (selection.type) {
			case "field": return [selection.field];
			case "inline": return fieldsOf(document, selection.selections, seen);
			case "spread":
				if (seen.has(selection.name)) return [];
				seen.add(selection.name);
				return fieldsOf(document, document.fragments.get(selection.name) ?? [], seen);
		}
	});
}
// src/client/results.ts
/**
* Creates an iterator over a subscription; undefined if `open` returns none. Buffers at most `maxBytes`, or one result;
* beyond that the source pauses until the buffer is empty.
*/
function iterateResults(maxBytes, open) {
	const buffer = [];
	const pending = [];
	let bufferedBytes = 0;
	let end;
	const finish = (ended) => {
		end ??= ended;
		for (const { resolve, reject } of pending.splice(0)) if (end !== void 0 && "problem" in end) {
			reject(end.problem);
			end = {};
		} else resolve({
			done: true,
			value: void 0
		});
	};
	const source = open({
		hasRoom: (result) => pending.length > 0 || buffer.length === 0 || bufferedBytes + sizeOf(result) <= maxBytes,
		next(result) {
			const first = pending.shift();
			if (first !== void 0) return first.resolve({
				done: false,
				value: result
			});
			const bytes = sizeOf(result);
			buffer.push({
				result,
				bytes
			});
			bufferedBytes += bytes;
		},
		error: (problem) => finish({ problem }),
		complete: () => finish({})
	});
	if (source === void 0) return void 0;
	const stop = () => {
		buffer.length = 0;
		finish({});
		end = {};
		source.unsubscribe();
	};
	return {
		async next() {
			const first = buffer.shift();
			if (first !== void 0) {
				bufferedBytes -= first.bytes;
				return {
					done: false,
					value: first.result
				};
			}
			if (end !== void 0) {
				const ended = end;
				end = {};
				if ("problem" in ended) throw ended.problem;
				return {
					done: true,
					value: void 0
				};
			}
			return new Promise((resolve, reject) => {
				pending.push({
					resolve,
					reject
				});
				source.resume();
			});
		},
		async return() {
			stop();
			return {
				done: true,
				value: void 0
			};
		},
		async throw(problem) {
			stop();
			throw problem;
		},
		[Symbol.asyncIterator]() {
			return this;
		}
	};
}
/** Estimates the size in memory, in bytes: two per character of JSON. */
const sizeOf = (result) => 2 * JSON.stringify(result).length;
// src/client/backoff.ts
/** Lifetime after which a subscription counts as stable: the next failure is attempt 0 again. */
const LONG_LIFE_MS = 6e4;
/** Computes the delay before a subscription restarts, which grows with each attempt that delivers no result. */
var Backoff = class {
	#delayOf;
	#attempt = 0;
	#startedAt = 0;
	#connectingAt = 0;
	#hasReceived = false;
	constructor(delayOf) {
		this.#delayOf = delayOf;
	}
	/** Whether a result was received since the start, or since the connection was last lost. */
	get hasReceived() {
		return this.#hasReceived;
	}
	onStart() {
		this.#startedAt = performance.now();
		this.#hasReceived = false;
	}
	/** Records that the wrapped client connects now, after its own retry delay. */
	onConnecting() {
		this.#connectingAt = performance.now();
		this.#hasReceived = false;
	}
	onLost() {
		this.#hasReceived = false;
	}
	onResult() {
		this.#hasReceived = true;
	}
	reset() {
		this.#attempt = 0;
	}
	/** Returns the milliseconds before the next attempt, minus the wrapped client's own delay, which it will add again. */
	nextDelay(afterMs, connectingAt) {
		if (performance.now() - this.#startedAt > LONG_LIFE_MS) this.#attempt = 0;
		const connectingSince = Math.max(this.#connectingAt, connectingAt);
		const waitedMs = this.#hasReceived ? 0 : Math.max(0, connectingSince - this.#startedAt);
		const delayMs = this.#delayOf(this.#attempt) - waitedMs;
		this.#attempt += 1;
		return Math.max(afterMs, delayMs);
	}
};
// src/client/position.ts
/** The position of a durable subscription: the newest cursor, kept in the variables with which it restarts. */
var Position = class {
	#variables;
	#plan;
	#hasDeliveredLive = false;
	/** Mutates the variables when the position moves. An empty cursor counts as absent. */
	constructor(variables, plan) {
		this.#variables = variables;
		this.#plan = plan;
		if (variables[plan.variable] === "") delete variables[plan.variable];
	}
	get cursor() {
		const cursor = this.#variables[this.#plan.variable];
		return typeof cursor === "string" ? cursor : null;
	}
	/** Whether the operation selects `__typename`, which distinguishes `StreamLive`. */
	get hasTypenames() {
		return this.#plan.typenameKeys.length > 0;
	}
	/** Reads the position of a result; undefined if it has no cursor. */
	read(value) {
		const cursor = textAt(value, this.#plan.cursorKeys);
		if (cursor === void 0) return void 0;
		const isLive = textAt(value, this.#plan.typenameKeys) === "StreamLive";
		return {
			cursor,
			isLive,
			isRepeated: isLive ? this.#hasDeliveredLive : cursor === this.cursor
		};
	}
	moveTo(cursor, isLive = false) {
		this.#variables[this.#plan.variable] = cursor;
		this.#hasDeliveredLive ||= isLive;
	}
};
function textAt(value, keys) {
	return keys.map((key) => value[key]).find((text) => typeof text === "string");
}
// src/client/subscription.ts
/**
* One subscription of the app: a sequence of runs in the wrapped client, each of which starts after the newest cursor.
* The wrapped client serialises the payload on each connect, so the cursor is kept in a private copy of the variables.
* Results of a superseded run are dropped.
*/
var Subscription = class {
	#shared;
	#request;
	#payload;
	#position;
	#backoff;
	#plan;
	#run = 0;
	#stop;
	#timer;
	#silence;
	#renewals = 0;
	#isPaused = false;
	#isOver = false;
	#status;
	constructor(shared, request) {
		const { payload, plan } = request;
		const variables = { ...payload.variables };
		this.#shared = shared;
		this.#request = request;
		this.#plan = plan;
		this.#payload = {
			...payload,
			variables
		};
		this.#position = "cursor" in plan ? new Position(variables, plan.cursor) : void 0;
		this.#backoff = new Backoff(shared.retryDelay);
		shared.connection.add(this);
	}
	start() {
		this.#backoff.onStart();
		const run = this.#run += 1;
		const isCurrent = () => run === this.#run;
		try {
			const stop = this.#shared.client.subscribe(this.#payload, {
				next: (result) => void (isCurrent() && this.#receive(result)),
				error: (problem) => void (isCurrent() && this.onProblem(problem)),
				complete: () => void (isCurrent() && this.#finish(() => this.#request.reader.complete()))
			}, this.#listeners(isCurrent));
			if (!isCurrent()) return stop();
			this.#stop = stop;
			this.#watchSilence();
		} catch (problem) {
			this.#fail(problem);
		}
	}
	/** Restarts after a pause caused by a full reader. */
	resume() {
		if (!this.#isPaused || this.#isOver) return;
		this.#isPaused = false;
		this.start();
	}
	/** Ends the subscription and completes its reader asynchronously, as the wrapped clients do. */
	unsubscribe() {
		this.#finish(() => queueMicrotask(() => this.#request.reader.complete()));
	}
	onLost(isAbandoned) {
		const isRunning = this.#stop !== void 0;
		this.#backoff.onLost();
		this.#setStatus("behind");
		if (isAbandoned && isRunning) this.#retry(0);
	}
	onProblem(problem) {
		if (this.#isOver) return;
		const verdict = this.#classify(problem);
		switch (verdict.type) {
			case "retry": return this.#retry(verdict.afterMs);
			case "expired":
				this.#renew(verdict, problem);
				return;
			case "fatal": return this.#fail(problem);
		}
	}
	#classify(problem) {
		if (this.#isPlain) return { type: "fatal" };
		const verdict = classify(problem);
		if (verdict.type === "expired") return this.#position === void 0 ? { type: "fatal" } : verdict;
		const choice = this.#shared.options.shouldRetry?.(problem);
		if (choice === false) return { type: "fatal" };
		return choice === true && verdict.type === "fatal" ? {
			type: "retry",
			afterMs: 0
		} : verdict;
	}
	get #isPlain() {
		return this.#plan.type === "plain" || this.#plan.type === "unknown";
	}
	#listeners(isCurrent) {
		const { listeners } = this.#request;
		return {
			...listeners,
			connecting: (isRetry) => {
				if (isCurrent()) this.#backoff.onConnecting();
				if (isRetry && isCurrent()) this.#setStatus("behind");
				listeners?.connecting?.(isRetry);
			},
			connected: (wasRetry) => {
				if (isCurrent()) this.#watchSilence();
				listeners?.connected?.(wasRetry);
			}
		};
	}
	#receive(result) {
		this.#watchSilence();
		const { data, errors } = result;
		if ((data === void 0 || data === null) && errors !== void 0 && errors.length > 0) {
			const isEnd = this.#plan.type === "durable" && (!this.#backoff.hasReceived || errors.some(isOfStream));
			if (!this.#isPlain && (isEnd || classify(errors).type !== "fatal")) return this.onProblem(errors);
		}
		this.#backoff.onResult();
		const value = isObject(data) ? Object.values(data)[0] : void 0;
		if (this.#position === void 0 || this.#plan.type === "plain" || !isObject(value)) return this.#deliverEphemeral(result);
		const step = this.#position.read(value);
		if (step !== void 0) return this.#deliverAt(this.#position, step, result);
		if (this.#plan.type !== "unknown") return this.#fail(new Error(noCursorMessage("A subscription")));
		this.#plan = { type: "plain" };
		this.#deliverEphemeral(result);
	}
	/** Delivers an ephemeral result, which cannot be replayed: fails if the reader has no room. */
	#deliverEphemeral(result) {
		this.#backoff.reset();
		const { reader } = this.#request;
		if (reader.hasRoom?.(result) === false) return this.#fail(new Error(TOO_SLOW));
		this.#deliver(result);
	}
	#deliverAt(position, { cursor, isLive, isRepeated }, result) {
		if (this.#plan.type === "unknown") this.#plan = {
			type: "durable",
			cursor: this.#plan.cursor
		};
		const run = this.#run;
		if (!isRepeated && this.#request.reader.hasRoom?.(result) === false) return this.#pause();
		position.moveTo(cursor, isLive);
		if (!isRepeated) this.#deliver(result);
		if (run !== this.#run || position.hasTypenames && !isLive) return;
		this.#backoff.reset();
		this.#renewals = 0;
		this.#setStatus("live");
	}
	#deliver(result) {
		try {
			this.#request.reader.next(result);
		} catch (problem) {
			this.#fail(problem);
		}
	}
	#pause() {
		this.#release();
		this.#isPaused = true;
		this.#setStatus("behind");
	}
	#retry(afterMs) {
		const delayMs = this.#backoff.nextDelay(afterMs, this.#shared.connection.connectingAt);
		this.#release();
		this.#setStatus("behind");
		if (this.#isOver) return;
		this.#timer = setTimeout(() => this.start(), delayMs);
	}
	async #renew({ code, oldest }, problem) {
		const { payload } = this.#request;
		this.#release();
		this.#setStatus("behind");
		try {
			const cursor = await this.#shared.options.onExpired?.({
				payload,
				code,
				...oldest !== void 0 && { oldest }
			});
			if (this.#isOver) return;
			if (typeof cursor !== "string" || cursor === "") return this.#fail(problem);
			this.#position?.moveTo(cursor);
		} catch (failure) {
			return this.#fail(failure);
		}
		this.#renewals += 1;
		if (this.#renewals === 1) this.start();
		else this.#retry(0);
	}
	#setStatus(status) {
		if (this.#isOver || this.#plan.type !== "durable" || this.#status === status) return;
		this.#status = status;
		try {
			this.#shared.options.onState?.({
				payload: this.#request.payload,
				status,
				cursor: this.#position?.cursor ?? null
			});
		} catch (problem) {
			this.#fail(problem);
		}
	}
	/** Resumes an event stream that is silent for too long: a half-open connection raises no error. */
	#watchSilence() {
		clearTimeout(this.#silence);
		const { silenceMs } = this.#shared;
		if (!(silenceMs > 0) || this.#isPlain || this.#isOver) return;
		this.#silence = setTimeout(() => {
			if (!this.#backoff.hasReceived) return this.#retry(0);
			this.#release();
			this.start();
		}, silenceMs);
	}
	#fail(problem) {
		this.#finish(() => this.#request.reader.error(problem));
	}
	#finish(notify) {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#release();
		this.#shared.connection.delete(this);
		notify();
	}
	/** Ends the current run. The wrapped client counts a subscription as active until it is unsubscribed. */
	#release() {
		this.#run += 1;
		clearTimeout(this.#timer);
		clearTimeout(this.#silence);
		const stop = this.#stop;
		this.#stop = void 0;
		stop?.();
	}
};
const TOO_SLOW = "The reader of iterate() fell too far behind. The subscription is ephemeral and cannot be replayed, so it ends.";
/** Errors of a single event have the path of a field; errors of the stream have none. */
const isOfStream = (error) => isObject(error) && !Array.isArray(error["path"]);
// src/client/index.ts
/**
* Connects an RTCPeerConnection to that of another account in a call, over `sendSignal` and `signals`, by perfect negotiation. The
* other client may be this function, or one of the mobile apps.
*/
const connectCall = (options) => new Call(options);
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 3e4;
const MAX_BUFFERED_BYTES = 1048576;
const SOCKET_SILENCE_MS = 3e4;
const STREAM_SILENCE_MS = 12e4;
/**
* Wraps a client of graphql-ws or graphql-sse and returns one with the same methods. Durable subscriptions (those with a
* variable of type `Cursor`) resume after the newest event when their connection ends: the app receives each event, and
* `StreamLive`, exactly once. Subscriptions without a cursor are restarted, too, but miss the events in between. Queries and
* mutations pass through. Disposing the returned client disposes the wrapped one.
*/
function resumable(client, options = {}) {
	const inner = client;
	const { cursorVariable = "after", maxBufferedBytes = MAX_BUFFERED_BYTES, silenceTimeout } = options;
	const isSocket = typeof inner.on === "function";
	const connection = new ConnectionMonitor(inner, silenceTimeout ?? SOCKET_SILENCE_MS);
	const shared = {
		client: inner,
		connection,
		options,
		retryDelay: (attempt) => options.retryDelay?.(attempt) ?? jitteredDelay(attempt),
		silenceMs: isSocket ? 0 : silenceTimeout ?? STREAM_SILENCE_MS
	};
	const subscriptions = /* @__PURE__ */ new Set();
	let isDisposed = false;
	const open = (payload, plan, reader, listeners) => {
		const remove = () => void subscriptions.delete(subscription);
		const subscription = new Subscription(shared, {
			payload,
			plan,
			listeners,
			reader: {
				...reader,
				error(problem) {
					remove();
					reader.error(problem);
				},
				complete() {
					remove();
					reader.complete();
				}
			}
		});
		subscriptions.add(subscription);
		subscription.start();
		return subscription;
	};
	/** Opens a resumable subscription; undefined for other operations. Errors are reported to the reader asynchronously. */
	const openResumable = (payload, reader, listeners) => {
		try {
			const plan = planOperation(payload, cursorVariable);
			if (plan.type === "plain") return void 0;
			if (isDisposed) throw new Error("The client is disposed.");
			return open(payload, plan, reader, listeners);
		} catch (problem) {
			queueMicrotask(() => reader.error(problem));
			return {
				resume() {},
				unsubscribe() {}
			};
		}
	};
	return {
		...inner,
		subscribe(payload, sink, listeners) {
			const source = openResumable(payload, toReader(sink), listeners);
			return source === void 0 ? inner.subscribe(payload, sink, listeners) : () => source.unsubscribe();
		},
		iterate(payload, listeners) {
			return iterateResults(maxBufferedBytes, (reader) => openResumable(payload, reader, listeners)) ?? inner.iterate(payload, listeners);
		},
		async dispose() {
			isDisposed = true;
			const { isOpen } = connection;
			for (const subscription of subscriptions) subscription.unsubscribe();
			connection.close();
			const closed = Promise.resolve(inner.dispose()).catch(() => void 0);
			if (isOpen) await closed;
		}
	};
}
const toReader = (sink) => ({
	next: (result) => sink.next(result),
	error: (problem) => sink.error(problem),
	complete: () => sink.complete()
});
function jitteredDelay(attempt) {
	return Math.min(FIRST_DELAY_MS * 2 ** attempt, MAX_DELAY_MS) * (1 - Math.random() / 2);
}
export { connectCall, resumable };
