// Generated from src/client by scripts/print-client.ts.
// src/client/problem.ts
/** Ends after which the stream goes on elsewhere or later, and codes of the same kind (docs/errors.md). */
const PASSING_REASONS = /* @__PURE__ */ new Set([
	"DRAINING",
	"OPERATOR",
	"SLOW"
]);
const PASSING_CODES = /* @__PURE__ */ new Set(["UNAVAILABLE", "RATE_LIMITED"]);
/** Closes of a WebSocket that would come again: what the client sends is wrong, or who sends it. */
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
/** Asked for more, a timer would fire at once. */
const MAX_WAIT_MS = 36e5;
/** HTTP statuses below 500 that may pass. */
const PASSING_STATUSES = /* @__PURE__ */ new Set([
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
/** Reads errors of the server, close events, responses and errors of the network alike. */
function judge(problem) {
	if (!isObject(problem)) return FATAL;
	if (Array.isArray(problem)) return judgeErrors(problem);
	if (isObject(problem["extensions"])) return judgeErrors([problem]);
	if (isObject(problem["response"])) return judgeResponse(problem["response"]);
	if (typeof problem["code"] === "number" && "reason" in problem) return FATAL_CLOSES.has(problem["code"]) ? FATAL : RETRY;
	return RETRY;
}
function judgeErrors(errors) {
	for (const error of errors) {
		const { code, reason, oldest, retryAfterMs } = isObject(error) && isObject(error["extensions"]) ? error["extensions"] : {};
		if (code === "CURSOR_EXPIRED" || code === "CURSOR_INVALID") return {
			type: "expired",
			code,
			...typeof oldest === "string" && { oldest }
		};
		if (PASSING_REASONS.has(reason) || reason === void 0 && PASSING_CODES.has(code)) return retryAfter(typeof retryAfterMs === "number" ? retryAfterMs : 0);
	}
	return FATAL;
}
function judgeResponse(response) {
	const { status, headers } = response;
	if (typeof status !== "number" || status < 400) return RETRY;
	if (status < 500 && !PASSING_STATUSES.has(status)) return FATAL;
	return retryAfter(isHeaders(headers) ? retryAfterOf(headers) : 0);
}
const retryAfter = (ms) => ({
	type: "retry",
	afterMs: ms > 0 ? Math.min(ms, MAX_WAIT_MS) : 0
});
/** The milliseconds that `Retry-After` asks for, which is in seconds or a date. */
function retryAfterOf(headers) {
	const text = headers.get("retry-after") ?? "";
	return /^\d+$/.test(text) ? Number(text) * 1e3 : Date.parse(text) - Date.now();
}
const isObject = (value) => typeof value === "object" && value !== null;
// src/client/connection.ts
const TERMINATED = 4499;
const FORBIDDEN = 4403;
const OPEN = 1;
const PING = JSON.stringify({ type: "ping" });
/** The part of the silence after which a ping is sent. */
const PING_AT = 2 / 3;
/** Follows the one WebSocket of a graphql-ws client, and abandons it when nothing more comes from it. */
var Connection = class {
	#client;
	#silenceMs;
	#followers = /* @__PURE__ */ new Set();
	#unlisten = [];
	#socket;
	#isConnecting = false;
	#connectingAt = 0;
	#heardAt = 0;
	#isPinged = false;
	#timer;
	/** `ws` throws where nobody can catch it when it is closed while it connects. */
	#mayCloseEarly = "document" in globalThis || "WorkerGlobalScope" in globalThis;
	/** Refusals of the token in a row: after the first one an app may bring another token. */
	#refusals = 0;
	constructor(client, silenceMs) {
		this.#client = client;
		this.#silenceMs = silenceMs;
		this.#listen("connecting", () => {
			this.#isConnecting = true;
			this.#connectingAt = performance.now();
			this.#hear();
			this.#watch();
		});
		this.#listen("opened", (socket) => {
			this.#isConnecting = false;
			this.#socket = isSocket(socket) ? socket : void 0;
			this.#mayCloseEarly = this.#socket?.terminate === void 0;
			this.#hear();
			this.#watch();
		});
		this.#listen("connected", () => void (this.#refusals = 0));
		this.#listen("message", () => this.#hear());
		this.#listen("closed", (event) => this.#closed(event));
	}
	/** When the client last began to connect, after all that it waited by itself. */
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
		if (this.#followers.size === 0) this.#rest();
	}
	/** Frees its listeners and its timer. */
	close() {
		for (const unlisten of this.#unlisten) unlisten();
		this.#rest();
	}
	#listen(event, listener) {
		const unlisten = this.#client.on?.(event, listener);
		if (unlisten !== void 0) this.#unlisten.push(unlisten);
	}
	#closed(event) {
		this.#socket = void 0;
		this.#isConnecting = false;
		this.#rest();
		const code = isObject(event) ? event["code"] : void 0;
		this.#refusals = code === FORBIDDEN ? this.#refusals + 1 : 0;
		for (const follower of this.#followers) if (this.#refusals > 1) follower.handle(event);
		else follower.lost(code === TERMINATED);
	}
	#hear() {
		this.#heardAt = performance.now();
		this.#isPinged = false;
	}
	#rest() {
		clearTimeout(this.#timer);
		this.#timer = void 0;
	}
	#watch() {
		this.#rest();
		if (this.#followers.size === 0 || !(this.#silenceMs > 0)) return;
		const quietMs = performance.now() - this.#heardAt;
		const dueMs = this.#isConnecting ? this.#watchConnecting(quietMs) : this.#watchOpen(quietMs);
		if (dueMs !== void 0) this.#timer = setTimeout(() => this.#watch(), dueMs);
	}
	/** Returns when to look again. */
	#watchConnecting(quietMs) {
		if (quietMs < this.#silenceMs) return this.#silenceMs - quietMs;
		if (this.#mayCloseEarly) this.#client.terminate?.();
	}
	/** Whatever comes after the ping ends the silence. Returns when to look again. */
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
/** One token of a document, after what is ignored before it: a string, a name, or anything else. */
const TOKEN = /(?:[\s,\uFEFF]|#[^\n\r]*)*(?:("""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n\r])*")|([A-Za-z_]\w*|-?\d[\w.+-]*|\.\.\.|[!$&()/:=@[\]{|}])|$)/y;
/** Stands for every string: what it says does not matter here. */
const STRING = "\"";
/** Throws SyntaxError for text that is no GraphQL, as do all that take what is not there. */
function readTokens(text) {
	const tokens = splitTokens(text);
	let index = 0;
	const take = () => {
		const token = tokens[index];
		if (token === void 0) throw new SyntaxError("The document ends too early.");
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
			if (!skip(token)) throw new SyntaxError(`The document has no ${token} where one is due.`);
		},
		takeName() {
			const name = take();
			if (!/^[A-Za-z_]/.test(name)) throw new SyntaxError(`The document has ${name} where a name is due.`);
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
/** Reads what may be executed. Throws SyntaxError for anything else, and RangeError if it nests too deep. */
function parseDocument(text) {
	const tokens = readTokens(text);
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
	if (!KINDS.has(kind)) throw new SyntaxError(`The document defines ${kind}, which nobody can run.`);
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
/** Takes a value, or all in a pair of brackets, and returns the variables in it. */
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
/** Throws an error for a durable subscription that selects no cursor: it could never resume. */
function planOf(payload, cursorVariable) {
	const { query, operationName } = payload;
	if (typeof query !== "string" || query.trim() === "") return {
		type: "unknown",
		cursor: {
			variable: cursorVariable,
			cursorKeys: ["cursor"],
			typenameKeys: ["__typename"]
		}
	};
	const document = read(query);
	const operation = document && operationOf(document, operationName);
	if (document === void 0 || operation?.kind !== "subscription") return { type: "plain" };
	const [root] = fieldsOf(document, operation.selections);
	const variable = root && cursorVariableOf(operation, root);
	if (root === void 0 || variable === void 0) return { type: "ephemeral" };
	const keysOf = (name) => fieldsOf(document, root.selections).filter((field) => field.name === name).map((field) => field.key);
	const cursorKeys = keysOf("cursor");
	if (cursorKeys.length === 0) throw new Error(noCursor(`The subscription ${root.name}`));
	return {
		type: "durable",
		cursor: {
			variable,
			cursorKeys,
			typenameKeys: keysOf("__typename")
		}
	};
}
const noCursor = (what) => `${what} has a variable for a cursor, but selects no \`cursor\`: after a break it could not resume. Select \`cursor\` on every event.`;
/** Undefined for what is no document: the server says what is wrong with it. */
function read(text) {
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
/** The fields of a selection, those of its fragments included. */
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
* Makes an iterator of a subscription. It buffers at most `maxBytes`, or one result; then the source stops, and goes on
* once the buffer is empty. Undefined when `open` opens none.
*/
function iterateResults(maxBytes, open) {
	const buffer = [];
	const waiting = [];
	let bufferedBytes = 0;
	let end;
	const finish = (ended) => {
		end ??= ended;
		for (const { resolve, reject } of waiting.splice(0)) if (end !== void 0 && "problem" in end) {
			reject(end.problem);
			end = {};
		} else resolve({
			done: true,
			value: void 0
		});
	};
	const source = open({
		hasRoom: (result) => waiting.length > 0 || buffer.length === 0 || bufferedBytes + sizeOf(result) <= maxBytes,
		next(result) {
			const first = waiting.shift();
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
				waiting.push({
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
/** In bytes of JSON as JavaScript holds it. */
const sizeOf = (result) => 2 * JSON.stringify(result).length;
// src/client/backoff.ts
/** After so long without an end the next one counts as the first. */
const LONG_LIFE_MS = 6e4;
/** How long a subscription waits before it begins again: longer with each attempt that brings nothing. */
var Backoff = class {
	#delayOf;
	#attempt = 0;
	#startedAt = 0;
	#connectingAt = 0;
	#isHeard = false;
	constructor(delayOf) {
		this.#delayOf = delayOf;
	}
	/** A result has come since it was started, or since the connection was last lost. */
	get isHeard() {
		return this.#isHeard;
	}
	started() {
		this.#startedAt = performance.now();
		this.#isHeard = false;
	}
	/** The wrapped client connects now; until then it has waited by itself. */
	connecting() {
		this.#connectingAt = performance.now();
		this.#isHeard = false;
	}
	lost() {
		this.#isHeard = false;
	}
	heard() {
		this.#isHeard = true;
	}
	succeeded() {
		this.#attempt = 0;
	}
	/** Milliseconds before the next attempt, less what the wrapped client waits by itself: it will wait again. */
	nextDelay(afterMs, connectingAt) {
		if (performance.now() - this.#startedAt > LONG_LIFE_MS) this.#attempt = 0;
		const began = Math.max(this.#connectingAt, connectingAt);
		const waitedMs = this.#isHeard ? 0 : Math.max(0, began - this.#startedAt);
		const delayMs = this.#delayOf(this.#attempt) - waitedMs;
		this.#attempt += 1;
		return Math.max(afterMs, delayMs);
	}
};
// src/client/position.ts
/** The position of a durable subscription: the newest cursor, in the variables with which it begins again. */
var Position = class {
	#variables;
	#plan;
	#isLiveTold = false;
	/** The variables are changed as it moves. An empty cursor is none. */
	constructor(variables, plan) {
		this.#variables = variables;
		this.#plan = plan;
		if (variables[plan.variable] === "") delete variables[plan.variable];
	}
	get cursor() {
		const cursor = this.#variables[this.#plan.variable];
		return typeof cursor === "string" ? cursor : null;
	}
	/** Whether results say which of them is `StreamLive`. */
	get hasTypes() {
		return this.#plan.typenameKeys.length > 0;
	}
	/** Undefined for a value without a cursor. */
	read(value) {
		const cursor = textAt(value, this.#plan.cursorKeys);
		if (cursor === void 0) return void 0;
		const isLive = textAt(value, this.#plan.typenameKeys) === "StreamLive";
		return {
			cursor,
			isLive,
			isRepeated: isLive ? this.#isLiveTold : cursor === this.cursor
		};
	}
	moveTo(cursor, isLive = false) {
		this.#variables[this.#plan.variable] = cursor;
		this.#isLiveTold ||= isLive;
	}
};
function textAt(value, keys) {
	return keys.map((key) => value[key]).find((text) => typeof text === "string");
}
// src/client/subscription.ts
/**
* One subscription of the app: a chain of subscriptions of the wrapped client, each of which starts after the newest
* cursor. The wrapped client encodes the payload anew whenever it connects, so the cursor is put into variables that
* are this module's own; what comes from a superseded link of the chain is dropped.
*/
var Subscription = class {
	#shared;
	#order;
	#payload;
	#position;
	#backoff;
	#plan;
	#link = 0;
	#stop;
	#timer;
	#silence;
	#renewals = 0;
	#isPaused = false;
	#isOver = false;
	#status;
	constructor(shared, order) {
		const { payload, plan } = order;
		const variables = { ...payload.variables };
		this.#shared = shared;
		this.#order = order;
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
		this.#backoff.started();
		const link = this.#link += 1;
		const isPresent = () => link === this.#link;
		try {
			const stop = this.#shared.client.subscribe(this.#payload, {
				next: (result) => void (isPresent() && this.#receive(result)),
				error: (problem) => void (isPresent() && this.handle(problem)),
				complete: () => void (isPresent() && this.#finish(() => this.#order.reader.complete()))
			}, this.#listeners(isPresent));
			if (!isPresent()) return stop();
			this.#stop = stop;
			this.#watchSilence();
		} catch (problem) {
			this.#fail(problem);
		}
	}
	/** Goes on after a pause, which a reader without room has brought about. */
	resume() {
		if (!this.#isPaused || this.#isOver) return;
		this.#isPaused = false;
		this.start();
	}
	/** Ends it, and tells its reader so later, as the wrapped clients do. */
	unsubscribe() {
		this.#finish(() => queueMicrotask(() => this.#order.reader.complete()));
	}
	lost(isAbandoned) {
		const isRunning = this.#stop !== void 0;
		this.#backoff.lost();
		this.#setStatus("behind");
		if (isAbandoned && isRunning) this.#retry(0);
	}
	handle(problem) {
		if (this.#isOver) return;
		const verdict = this.#judge(problem);
		switch (verdict.type) {
			case "retry": return this.#retry(verdict.afterMs);
			case "expired":
				this.#renew(verdict, problem);
				return;
			case "fatal": return this.#fail(problem);
		}
	}
	#judge(problem) {
		if (this.#isPlain) return { type: "fatal" };
		const verdict = judge(problem);
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
	#listeners(isPresent) {
		const { listeners } = this.#order;
		return {
			...listeners,
			connecting: (isRetry) => {
				if (isPresent()) this.#backoff.connecting();
				if (isRetry && isPresent()) this.#setStatus("behind");
				listeners?.connecting?.(isRetry);
			},
			connected: (wasRetry) => {
				if (isPresent()) this.#watchSilence();
				listeners?.connected?.(wasRetry);
			}
		};
	}
	#receive(result) {
		this.#watchSilence();
		const { data, errors } = result;
		if ((data === void 0 || data === null) && errors !== void 0 && errors.length > 0) {
			const isEnd = this.#plan.type === "durable" && (!this.#backoff.isHeard || errors.some(isOfStream));
			if (!this.#isPlain && (isEnd || judge(errors).type !== "fatal")) return this.handle(errors);
		}
		this.#backoff.heard();
		const value = isObject(data) ? Object.values(data)[0] : void 0;
		if (this.#position === void 0 || this.#plan.type === "plain" || !isObject(value)) return this.#deliverUncounted(result);
		const step = this.#position.read(value);
		if (step !== void 0) return this.#deliverAt(this.#position, step, result);
		if (this.#plan.type !== "unknown") return this.#fail(new Error(noCursor("A subscription")));
		this.#plan = { type: "plain" };
		this.#deliverUncounted(result);
	}
	/** What has no place in a log: it is lost when nobody has room for it. */
	#deliverUncounted(result) {
		this.#backoff.succeeded();
		const { reader } = this.#order;
		if (reader.hasRoom?.(result) === false) return this.#fail(new Error(TOO_SLOW));
		this.#deliver(result);
	}
	#deliverAt(position, { cursor, isLive, isRepeated }, result) {
		if (this.#plan.type === "unknown") this.#plan = {
			type: "durable",
			cursor: this.#plan.cursor
		};
		const link = this.#link;
		if (!isRepeated && this.#order.reader.hasRoom?.(result) === false) return this.#pause();
		position.moveTo(cursor, isLive);
		if (!isRepeated) this.#deliver(result);
		if (link !== this.#link || position.hasTypes && !isLive) return;
		this.#backoff.succeeded();
		this.#renewals = 0;
		this.#setStatus("live");
	}
	#deliver(result) {
		try {
			this.#order.reader.next(result);
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
		const { payload } = this.#order;
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
				payload: this.#order.payload,
				status,
				cursor: this.#position?.cursor ?? null
			});
		} catch (problem) {
			this.#fail(problem);
		}
	}
	/** An event stream that says nothing for so long is resumed: nobody tells when its connection is half open. */
	#watchSilence() {
		clearTimeout(this.#silence);
		const { silenceMs } = this.#shared;
		if (!(silenceMs > 0) || this.#isPlain || this.#isOver) return;
		this.#silence = setTimeout(() => {
			if (!this.#backoff.isHeard) return this.#retry(0);
			this.#release();
			this.start();
		}, silenceMs);
	}
	#fail(problem) {
		this.#finish(() => this.#order.reader.error(problem));
	}
	#finish(tell) {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#release();
		this.#shared.connection.delete(this);
		tell();
	}
	/** Ends the present link. The wrapped client counts an ended subscription until it is stopped. */
	#release() {
		this.#link += 1;
		clearTimeout(this.#timer);
		clearTimeout(this.#silence);
		const stop = this.#stop;
		this.#stop = void 0;
		stop?.();
	}
};
const TOO_SLOW = "The reader of iterate() fell too far behind. What it reads is not kept by the server, so the subscription ends.";
/** One event's errors have the path of a field. */
const isOfStream = (error) => isObject(error) && !Array.isArray(error["path"]);
// src/client/index.ts
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 3e4;
const MAX_BUFFERED_BYTES = 1048576;
const SOCKET_SILENCE_MS = 3e4;
const STREAM_SILENCE_MS = 12e4;
/**
* Wraps a client of graphql-ws or graphql-sse and returns one with the same methods, whose durable subscriptions
* (those with a variable of the type `Cursor`) resume after the newest event whenever their connection ends: the app
* gets each event once, and `StreamLive` once. Subscriptions without a cursor come back too; queries and mutations
* pass unchanged. The wrapped client is disposed with it.
*/
function resumable(client, options = {}) {
	const inner = client;
	const { cursorVariable = "after", maxBufferedBytes = MAX_BUFFERED_BYTES, silenceTimeout } = options;
	const isSocket = typeof inner.on === "function";
	const connection = new Connection(inner, silenceTimeout ?? SOCKET_SILENCE_MS);
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
		const forget = () => void subscriptions.delete(subscription);
		const subscription = new Subscription(shared, {
			payload,
			plan,
			listeners,
			reader: {
				...reader,
				error(problem) {
					forget();
					reader.error(problem);
				},
				complete() {
					forget();
					reader.complete();
				}
			}
		});
		subscriptions.add(subscription);
		subscription.start();
		return subscription;
	};
	/** Runs what can be resumed; undefined for what is none of that. What cannot be run ends with an error, later. */
	const openResumable = (payload, reader, listeners) => {
		try {
			const plan = planOf(payload, cursorVariable);
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
			const source = openResumable(payload, readerOf(sink), listeners);
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
const readerOf = (sink) => ({
	next: (result) => sink.next(result),
	error: (problem) => sink.error(problem),
	complete: () => sink.complete()
});
function jitteredDelay(attempt) {
	return Math.min(FIRST_DELAY_MS * 2 ** attempt, MAX_DELAY_MS) * (1 - Math.random() / 2);
}
export { resumable };
