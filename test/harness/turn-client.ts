import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Allocates a relayed address, and asks for permissions to reach peers (RFC 8656). */
export interface TurnClient extends AsyncDisposable {
  /** Returns `allowed`, or the code of the error, such as 403. */
  permit(peer: string): Promise<number | 'allowed'>;
}

const MAGIC_COOKIE = 0x2112a442;
const METHODS = { allocate: 0x0003, createPermission: 0x0008 } as const;
const ATTRIBUTES = {
  username: 0x0006,
  integrity: 0x0008,
  errorCode: 0x0009,
  peerAddress: 0x0012,
  realm: 0x0014,
  nonce: 0x0015,
  addressFamily: 0x0017,
  transport: 0x0019,
} as const;
type Attribute = readonly [name: keyof typeof ATTRIBUTES, value: Buffer];
const UDP = 17;
const FAMILIES = { ipv4: 1, ipv6: 2 } as const;

/** Allocates a relayed address of this family. Throws with the code of the error if the server refuses. */
export async function openTurnClient(
  port: number,
  username: string,
  password: string,
  family: keyof typeof FAMILIES = 'ipv4',
): Promise<TurnClient> {
  const socket = createSocket('udp4');
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const exchange = async (message: Buffer): Promise<Map<number, Buffer>> => {
    const received = once(socket, 'message') as Promise<[Buffer]>;
    socket.send(message);
    return decodeAttributes((await received)[0]);
  };
  const request: Attribute[] = [
    ['transport', Buffer.of(UDP, 0, 0, 0)],
    ['addressFamily', Buffer.of(FAMILIES[family], 0, 0, 0)],
  ];
  const challenge = await exchange(encode(METHODS.allocate, request));
  const [realm, nonce] = [challenge.get(ATTRIBUTES.realm), challenge.get(ATTRIBUTES.nonce)];
  if (realm === undefined || nonce === undefined) throw new Error('The server sent no challenge');
  const key = createHash('md5').update(`${username}:${realm.toString()}:${password}`).digest();
  const send = async (method: number, attributes: readonly Attribute[]) => {
    const credentials: Attribute[] = [
      ['username', Buffer.from(username)],
      ['realm', realm],
      ['nonce', nonce],
    ];
    const error = (await exchange(encode(method, [...attributes, ...credentials], key))).get(
      ATTRIBUTES.errorCode,
    );
    return error === undefined ? 'allowed' : error.readUInt8(2) * 100 + error.readUInt8(3);
  };
  const allocated = await send(METHODS.allocate, request);
  if (allocated !== 'allowed') {
    socket.close();
    throw new Error(String(allocated));
  }
  return {
    permit: (peer) => send(METHODS.createPermission, [['peerAddress', encodePeer(peer)]]),
    async [Symbol.asyncDispose]() {
      socket.close();
    },
  };
}

/** The transaction is part of the mask of an IPv6 address: one for all, as requests are sequential. */
const TRANSACTION = randomBytes(12);

function encode(method: number, attributes: readonly Attribute[], key?: Buffer): Buffer {
  const body = Buffer.concat(attributes.map(([name, value]) => encodeAttribute(ATTRIBUTES[name], value)));
  if (key === undefined) return Buffer.concat([encodeHeader(method, body.length), body]);
  const signed = Buffer.concat([encodeHeader(method, body.length + 24), body]);
  const integrity = createHmac('sha1', key).update(signed).digest();
  return Buffer.concat([signed, encodeAttribute(ATTRIBUTES.integrity, integrity)]);
}

function encodeHeader(method: number, length: number): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(method, 0);
  header.writeUInt16BE(length, 2);
  header.writeUInt32BE(MAGIC_COOKIE, 4);
  return Buffer.concat([header, TRANSACTION]);
}

function encodeAttribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

function encodePeer(peer: string): Buffer {
  const mask = Buffer.concat([encodeHeader(0, 0).subarray(4, 8), TRANSACTION]);
  const address = Buffer.from(ipaddr.parse(peer).toByteArray());
  const port = mask.readUInt16BE(0) ^ 3_478;
  const masked = address.map((byte, index) => byte ^ (mask[index] ?? 0));
  const family = isIPv6(peer) ? FAMILIES.ipv6 : FAMILIES.ipv4;
  return Buffer.concat([Buffer.of(0, family, port >> 8, port & 0xff), masked]);
}

function decodeAttributes(message: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let offset = 20; offset + 4 <= message.length;) {
    const length = message.readUInt16BE(offset + 2);
    attributes.set(message.readUInt16BE(offset), message.subarray(offset + 4, offset + 4 + length));
    offset += 4 + length + ((4 - (length % 4)) % 4);
  }
  return attributes;
}
