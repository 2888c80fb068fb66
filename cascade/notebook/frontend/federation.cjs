/** What the federated build must know: module names that do not depend on the folder it was built in. */

module.exports = { optimization: { moduleIds: "named", chunkIds: "named" } };
