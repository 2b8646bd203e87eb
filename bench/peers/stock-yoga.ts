// What the manuals of graphql-yoga and graphql-ws show: each subscriber executes each event for itself.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { GraphQLObjectType, GraphQLSchema, GraphQLString, execute, subscribe } from 'graphql';
import { makeServer } from 'graphql-ws';
import { createPubSub, createYoga } from 'graphql-yoga';
import { WebSocketServer } from 'ws';

interface Sent {
  readonly cursor: string;
  readonly at: string;
  readonly message: { readonly id: string; readonly text: string; readonly sentAt: string; readonly author: { readonly id: string; readonly firstName: string } };
}
void [createServer, execute, subscribe, makeServer, createYoga, WebSocketServer, createPubSub<{ sent: [Sent] }>, GraphQLObjectType, GraphQLSchema, GraphQLString, process];
export type Port = AddressInfo;
