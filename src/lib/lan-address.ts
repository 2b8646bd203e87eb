import { BlockList } from 'node:net';
import { networkInterfaces } from 'node:os';

/** Interfaces of containers, virtual machines and tunnels: a phone does not reach their networks. */
const VIRTUAL =
  /^(br-|cni|docker|flannel|lxc|lxd|podman|tailscale|tap|tun|utun|vboxnet|veth|vethernet|virbr|vmnet|wg|zt)/i;

/** RFC 1918. */
const PRIVATE_SUBNETS = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const;

/**
 * Returns the address of this machine in its local network: the first private IPv4 address, of a virtual interface only if
 * there is no other. Returns undefined without one.
 */
export function findLanAddress(interfaces: typeof networkInterfaces = networkInterfaces): string | undefined {
  const subnets = new BlockList();
  for (const [network, bits] of PRIVATE_SUBNETS) subnets.addSubnet(network, bits);
  const found = Object.entries(interfaces()).flatMap(([name, addresses = []]) =>
    addresses
      .filter(({ family, internal, address }) => family === 'IPv4' && !internal && subnets.check(address))
      .map(({ address }) => ({ address, isVirtual: VIRTUAL.test(name) })),
  );
  return (found.find(({ isVirtual }) => !isVirtual) ?? found[0])?.address;
}
