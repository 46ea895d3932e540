-- Establishes for each leg which side is ours, who of ours took part, and which identifier is the customer's.
-- Input: fresh_leg, endpoint_row, token_row, own_domain, key_component. Output: scope_leg. Key: raw_id.
-- needs: fresh_leg
CREATE OR REPLACE TEMP TABLE scope_leg AS
WITH sided AS (
    SELECT
        leg.*,
        (fe.endpoint IS NOT NULL OR ft.token IS NOT NULL OR from_domain IN (SELECT domain FROM own_domain)
            OR regexp_full_match(leg.from_endpoint, '[0-9]{2,6}')) IS TRUE AS from_is_own,
        (te.endpoint IS NOT NULL OR tt.token IS NOT NULL OR to_domain IN (SELECT domain FROM own_domain)
            OR regexp_full_match(leg.to_endpoint, '[0-9]{2,6}')) IS TRUE AS to_is_own,
        CASE WHEN fe.endpoint IS NOT NULL THEN fe.representative_id ELSE ft.representative_id END AS from_representative,
        CASE WHEN fe.endpoint IS NOT NULL THEN fe.team ELSE ft.team END AS from_team,
        CASE WHEN fe.endpoint IS NOT NULL THEN fe.function ELSE ft.function END AS from_function,
        CASE WHEN te.endpoint IS NOT NULL THEN te.representative_id ELSE tt.representative_id END AS to_representative,
        CASE WHEN te.endpoint IS NOT NULL THEN te.team ELSE tt.team END AS to_team,
        CASE WHEN te.endpoint IS NOT NULL THEN te.function ELSE tt.function END AS to_function,
        via.team AS via_team,
        via.function AS via_function,
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
    SELECT
        *,
        (from_is_own AND to_is_own) OR (NOT from_is_own AND NOT to_is_own AND coalesce(hint = 'internal', false))
            AS both_own,
        CASE WHEN from_is_own = to_is_own THEN from_is_own OR coalesce(hint = 'outbound', false)
            ELSE from_is_own END AS ours_is_from
    FROM sided
)
SELECT
    raw_id, source, record_digest, channel, line, hint, started_at, answered_at, ended_at, talk_seconds, talk_basis,
    attempt, key, event_id, session_id, from_endpoint, from_token, from_domain, to_endpoint, to_token, to_domain,
    via_endpoint, automated, bulk, emergency,
    both_own AS is_internal,
    CASE WHEN ours_is_from THEN 'outbound' ELSE 'inbound' END AS direction,
    CASE WHEN ours_is_from THEN to_token ELSE from_token END AS token,
    CASE WHEN ours_is_from THEN to_domain ELSE from_domain END AS domain,
    CASE WHEN ours_is_from THEN from_representative ELSE to_representative END AS representative_id,
    coalesce(CASE WHEN ours_is_from THEN coalesce(from_representative, from_endpoint)
        ELSE coalesce(to_representative, to_endpoint) END, '') AS label,
    CASE WHEN ours_is_from
        THEN CASE WHEN from_representative IS NULL THEN coalesce(from_team, via_team) ELSE from_team END
        ELSE CASE WHEN to_representative IS NULL THEN coalesce(to_team, via_team) ELSE to_team END
    END AS team,
    CASE WHEN ours_is_from
        THEN CASE WHEN from_representative IS NULL AND from_team IS NULL THEN via_function ELSE from_function END
        ELSE CASE WHEN to_representative IS NULL AND to_team IS NULL THEN via_function ELSE to_function END
    END AS function,
    conversation_id,
    false AS is_repeat,
    is_new,
    false AS was_repeat
FROM decided;
