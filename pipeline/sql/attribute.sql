-- Establishes for each leg which side is ours, who of ours took part, and which identifier is the customer's.
-- Input: fresh_leg, endpoint_row, token_row, key_component. Output: scope_leg. Key: raw_id.
-- needs: fresh_leg
CREATE OR REPLACE TEMP TABLE scope_leg AS
WITH sided AS (
    SELECT
        leg.*,
        fe.endpoint IS NOT NULL OR ft.token IS NOT NULL
            OR coalesce(list_contains(getvariable('own_domains'), from_domain), false) AS from_is_own,
        te.endpoint IS NOT NULL OR tt.token IS NOT NULL
            OR coalesce(list_contains(getvariable('own_domains'), to_domain), false) AS to_is_own,
        CASE WHEN fe.group_no IS NULL THEN ft.representative_id ELSE fe.representative_id END AS from_representative,
        CASE WHEN te.group_no IS NULL THEN tt.representative_id ELSE te.representative_id END AS to_representative,
        coalesce(fe.group_no, ft.group_no) AS from_group_no,
        coalesce(te.group_no, tt.group_no) AS to_group_no,
        via.group_no AS via_group_no,
        coalesce(label.conversation_id, leg.key) AS conversation_id
    FROM fresh_leg AS leg
    LEFT JOIN endpoint_row AS fe
        ON fe.endpoint = leg.from_endpoint AND leg.started_at >= fe.valid_from AND leg.started_at < fe.valid_to
    LEFT JOIN endpoint_row AS te
        ON te.endpoint = leg.to_endpoint AND leg.started_at >= te.valid_from AND leg.started_at < te.valid_to
    LEFT JOIN endpoint_row AS via
        ON via.endpoint = leg.via_endpoint AND leg.started_at >= via.valid_from AND leg.started_at < via.valid_to
    LEFT JOIN token_row AS ft
        ON ft.token = leg.from_token AND leg.started_at >= ft.valid_from AND leg.started_at < ft.valid_to
    LEFT JOIN token_row AS tt
        ON tt.token = leg.to_token AND leg.started_at >= tt.valid_from AND leg.started_at < tt.valid_to
    LEFT JOIN key_component AS label ON label.key = leg.key
),
decided AS (
    -- Where both sides are ours, or neither, the source's own word on the direction decides.
    SELECT *, CASE WHEN from_is_own = to_is_own THEN from_is_own OR coalesce(hint = 'outbound', false)
        ELSE from_is_own END AS ours_is_from
    FROM sided
)
SELECT
    * EXCLUDE (
        from_is_own, to_is_own, from_representative, to_representative, from_group_no, to_group_no, via_group_no,
        ours_is_from
    ),
    (from_is_own AND to_is_own) OR (NOT from_is_own AND NOT to_is_own AND coalesce(hint = 'internal', false))
        AS is_internal,
    CASE WHEN ours_is_from THEN 'outbound' ELSE 'inbound' END AS direction,
    CASE WHEN ours_is_from THEN to_token ELSE from_token END AS token,
    CASE WHEN ours_is_from THEN to_domain ELSE from_domain END AS domain,
    CASE WHEN ours_is_from THEN from_representative ELSE to_representative END AS representative_id,
    CASE WHEN ours_is_from THEN coalesce(from_representative, from_endpoint, '')
        ELSE coalesce(to_representative, to_endpoint, '') END AS label,
    coalesce(CASE WHEN ours_is_from THEN from_group_no ELSE to_group_no END, via_group_no) AS group_no,
    false AS is_repeat,
    false AS was_repeat
FROM decided;
