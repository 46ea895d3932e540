-- Carries the scope over to nodes that depend on those in it, or depended on them before.
INSERT INTO scope_node
SELECT DISTINCT node
FROM (
    SELECT b AS node FROM node_edge SEMI JOIN scope_node ON scope_node.node = node_edge.a
    UNION ALL
    SELECT a FROM node_edge SEMI JOIN scope_node ON scope_node.node = node_edge.b
    UNION ALL
    SELECT b FROM fresh_node_edge SEMI JOIN scope_node ON scope_node.node = fresh_node_edge.a
    UNION ALL
    SELECT a FROM fresh_node_edge SEMI JOIN scope_node ON scope_node.node = fresh_node_edge.b
)
ANTI JOIN scope_node USING (node);
