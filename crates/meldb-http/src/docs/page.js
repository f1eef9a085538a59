"use strict";

// HEAD and OPTIONS answer as GET does, without its body: a reader needs no section for them.
const METHODS = ["get", "post", "put", "patch", "delete"];

const onlyListedMethods = () => ({
  statePlugins: {
    spec: {
      wrapSelectors: {
        taggedOperations: (original) => (...rest) =>
          original(...rest).map((tag) =>
            tag.update("operations", (operations) =>
              operations.filter((operation) => METHODS.includes(operation.get("method"))))),
      },
    },
  },
});

// By path, then in the order of use: what deletes a document comes last.
const inOrderOfUse = (a, b) =>
  a.get("path").localeCompare(b.get("path")) ||
  METHODS.indexOf(a.get("method")) - METHODS.indexOf(b.get("method"));

window.ui = SwaggerUIBundle({
  dom_id: "#page",
  url: "/openapi.json",
  deepLinking: true,
  operationsSorter: inOrderOfUse,
  plugins: [onlyListedMethods],
  // No request leaves this server: no badge of a validator, no stored key.
  validatorUrl: null,
  persistAuthorization: false,
});
