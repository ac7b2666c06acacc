// Compresses a status list and looks one entry up, by the npm library; milliseconds of CPU time for each.
import { StatusList } from "@sd-jwt/jwt-status-list";

const { size, bits, share } = JSON.parse(process.argv[2]);
const statuses = new Array(size).fill(0);
for (let set = 0; set < size * share; ) {
  const index = Math.floor(Math.random() * size);
  if (statuses[index] === 0) {
    statuses[index] = 1;
    set += 1;
  }
}
const cpu = (work) => {
  const before = process.cpuUsage();
  const made = work();
  const spent = process.cpuUsage(before);
  return [made, (spent.user + spent.system) / 1000];
};
const list = new StatusList(statuses, bits);
list.compressStatusList();
const [packed, compress] = cpu(() => list.compressStatusList());
const [, read] = cpu(() => StatusList.decompressStatusList(packed, bits).getStatus(size - 1));
console.log(JSON.stringify({ compress, read, octets: Buffer.from(packed, "base64url").length }));
