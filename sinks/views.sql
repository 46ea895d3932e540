-- What analysts query, and what the measures are read from. Made anew whenever the store is created or migrated.

-- Behind the others: standing_* is what of a delta counts, current_* is base and delta as one. The newest version of a
-- key counts; what is retracted is left out. Only a version older than the newest one in the base needs a look at the
-- base, so an empty delta costs nothing.
CREATE OR REPLACE VIEW standing_interaction AS
WITH latest AS (
    SELECT * FROM interaction_delta
    QUALIFY row_number() OVER (PARTITION BY interaction_id ORDER BY version DESC, rowid DESC) = 1
),
suspect AS (
    SELECT interaction_id, version FROM latest
    WHERE version < (SELECT max(version) FROM merged_version WHERE name = 'interaction')
),
beaten AS (
    SELECT suspect.interaction_id FROM suspect JOIN interaction_base AS base USING (interaction_id)
    WHERE base.version > suspect.version
    UNION ALL
    SELECT suspect.interaction_id FROM suspect JOIN interaction_retracted AS gone USING (interaction_id)
    WHERE gone.version > suspect.version
)
SELECT * FROM latest ANTI JOIN beaten USING (interaction_id);

CREATE OR REPLACE VIEW current_interaction AS
WITH standing AS MATERIALIZED (SELECT * FROM standing_interaction)
SELECT * FROM interaction_base ANTI JOIN standing USING (interaction_id)
UNION ALL
SELECT * EXCLUDE (is_retracted) FROM standing WHERE NOT is_retracted;

CREATE OR REPLACE VIEW standing_disposition AS
WITH latest AS (
    SELECT * FROM disposition_delta
    QUALIFY row_number() OVER (PARTITION BY raw_id ORDER BY version DESC, rowid DESC) = 1
),
suspect AS (
    SELECT raw_id, version FROM latest
    WHERE version < (SELECT max(version) FROM merged_version WHERE name = 'disposition')
),
beaten AS (
    SELECT suspect.raw_id FROM suspect JOIN disposition_base AS base USING (raw_id)
    WHERE base.version > suspect.version
    UNION ALL
    SELECT suspect.raw_id FROM suspect JOIN disposition_retracted AS gone USING (raw_id)
    WHERE gone.version > suspect.version
)
SELECT * FROM latest ANTI JOIN beaten USING (raw_id);

CREATE OR REPLACE VIEW current_disposition AS
WITH standing AS MATERIALIZED (SELECT * FROM standing_disposition)
SELECT * FROM disposition_base ANTI JOIN standing USING (raw_id)
UNION ALL
SELECT * EXCLUDE (is_retracted) FROM standing WHERE NOT is_retracted;

CREATE OR REPLACE VIEW standing_activity_outcome AS
WITH latest AS (
    SELECT * FROM activity_outcome_delta
    QUALIFY row_number() OVER (PARTITION BY activity_id ORDER BY version DESC, rowid DESC) = 1
),
suspect AS (
    SELECT activity_id, version FROM latest
    WHERE version < (SELECT max(version) FROM merged_version WHERE name = 'activity_outcome')
),
beaten AS (
    SELECT suspect.activity_id FROM suspect JOIN activity_outcome_base AS base USING (activity_id)
    WHERE base.version > suspect.version
    UNION ALL
    SELECT suspect.activity_id FROM suspect JOIN activity_outcome_retracted AS gone USING (activity_id)
    WHERE gone.version > suspect.version
)
SELECT * FROM latest ANTI JOIN beaten USING (activity_id);

CREATE OR REPLACE VIEW current_activity_outcome AS
WITH standing AS MATERIALIZED (SELECT * FROM standing_activity_outcome)
SELECT * FROM activity_outcome_base ANTI JOIN standing USING (activity_id)
UNION ALL
SELECT * EXCLUDE (is_retracted) FROM standing WHERE NOT is_retracted;

-- Observations with the columns of schemas/facts.py: ids that follow from others are not stored.
CREATE OR REPLACE VIEW observation AS
SELECT * REPLACE (
    nullif(coalesce(key, source || ':' || coalesce(session_id, event_id)), '') AS key,
    nullif(coalesce(event_id, session_id), '') AS event_id
)
FROM observation_base;

CREATE OR REPLACE VIEW latest_activity AS
SELECT * EXCLUDE (file_number) FROM activity
QUALIFY row_number() OVER (PARTITION BY activity_id ORDER BY updated_at DESC NULLS LAST, raw_id DESC) = 1;

CREATE OR REPLACE VIEW company_zone AS
SELECT coalesce(arg_max(timezone, run_number), 'UTC') AS timezone FROM run;

CREATE OR REPLACE VIEW shown_identifier AS
SELECT token, arg_max(kind, rowid) AS kind, arg_max(display, rowid) AS display FROM identifier GROUP BY token;

-- Dispositions counted by source. A raw_id begins with the source's name, but for senders' own event ids.
CREATE OR REPLACE VIEW disposition_count AS
WITH foreign_id AS (
    SELECT raw_id, source FROM observation
    SEMI JOIN (SELECT file_number FROM source_file WHERE has_own_ids) AS own USING (file_number)
),
place AS (SELECT DISTINCT source, source || ':' AS prefix FROM source_file WHERE carries_raw_events)
SELECT coalesce(foreign_id.source, place.source) AS source, disposition, said.reason, count(*) AS raw_count
FROM current_disposition AS said
LEFT JOIN place ON starts_with(said.raw_id, place.prefix)
LEFT JOIN foreign_id USING (raw_id)
GROUP BY ALL
UNION ALL
SELECT source, disposition, reason, raw_count FROM expired_event;

-- What waits for the next replay, with its source: late facts of which nothing is said yet.
CREATE OR REPLACE VIEW waiting_event AS
SELECT raw_id, source FROM observation_base
SEMI JOIN (SELECT raw_id FROM late_fact ANTI JOIN current_disposition USING (raw_id) WHERE activity_id IS NULL) AS late
    USING (raw_id);

CREATE OR REPLACE VIEW waiting_activity AS
SELECT DISTINCT activity_id, source FROM activity
SEMI JOIN (SELECT activity_id FROM late_fact ANTI JOIN current_activity_outcome USING (activity_id)) AS late
    USING (activity_id);

-- For analysts --------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW interactions AS
SELECT
    interaction_id,
    coalesce(evidence_id, interaction_id) AS evidence_id,
    company_id,
    channel,
    line,
    direction,
    started_at,
    ended_at,
    talk_seconds,
    representative_id,
    participants,
    team,
    function,
    string_split(sources, '+') AS sources,
    token,
    shown_identifier.display AS identifier,
    customer_ids,
    contact_id,
    segment,
    outcome,
    reason,
    tier,
    activity_id,
    ticket_id,
    trace_delay_seconds,
    window_ends_at
FROM current_interaction
LEFT JOIN shown_identifier USING (token);

COMMENT ON VIEW interactions IS 'One row per interaction: a conversation with one external party over one channel, and what became of it. Key: interaction_id.';
COMMENT ON COLUMN interactions.interaction_id IS 'identity; the same raw events always give the same';
COMMENT ON COLUMN interactions.evidence_id IS 'identity of the raw events behind it; the interactions of one email to several customers share it; joins evidence';
COMMENT ON COLUMN interactions.company_id IS 'company that is measured';
COMMENT ON COLUMN interactions.channel IS 'call, email, sms, chat, social or fax';
COMMENT ON COLUMN interactions.line IS 'of a call: the most specific line that saw it, contact_center, pbx or mobile';
COMMENT ON COLUMN interactions.direction IS 'inbound or outbound, from the company''s view';
COMMENT ON COLUMN interactions.started_at IS 'start, UTC';
COMMENT ON COLUMN interactions.ended_at IS 'end, UTC; of an email, its start';
COMMENT ON COLUMN interactions.talk_seconds IS 'seconds of talk; 0 for messages';
COMMENT ON COLUMN interactions.representative_id IS 'who talked longest; of an email, its sender or first recipient of ours; null: unknown';
COMMENT ON COLUMN interactions.participants IS 'all representatives who took part, most talk first';
COMMENT ON COLUMN interactions.team IS 'team it belongs to';
COMMENT ON COLUMN interactions.function IS 'function of the team: contact_center or other';
COMMENT ON COLUMN interactions.sources IS 'names of the sources that saw it, the most specific first';
COMMENT ON COLUMN interactions.token IS 'token of the external party; null: withheld';
COMMENT ON COLUMN interactions.identifier IS 'the external party as it may be shown; masked, unless privacy.identifiers is clear';
COMMENT ON COLUMN interactions.customer_ids IS 'customers in the CRM that the party resolves to; empty: unknown to the CRM';
COMMENT ON COLUMN interactions.contact_id IS 'contact in the CRM, when exactly one holds the identifier';
COMMENT ON COLUMN interactions.segment IS 'segment of the customer; null when the CRM has none';
COMMENT ON COLUMN interactions.outcome IS 'traced, siloed, bypassed or pending';
COMMENT ON COLUMN interactions.reason IS 'of a bypassed one: not_logged, unknown_customer or withheld';
COMMENT ON COLUMN interactions.tier IS 'of a traced one: exact, same_representative, other_representative or inferred';
COMMENT ON COLUMN interactions.activity_id IS 'activity in the CRM that is its trace; joins crm_activities';
COMMENT ON COLUMN interactions.ticket_id IS 'of a siloed one: the ticket, tied to no customer, that shows it';
COMMENT ON COLUMN interactions.trace_delay_seconds IS 'seconds from its end to the logging of its trace; negative when logged before';
COMMENT ON COLUMN interactions.window_ends_at IS 'until when a trace may be logged, UTC; pending until the CRM feed reaches it';

CREATE OR REPLACE VIEW evidence AS
SELECT
    observation.raw_id,
    coalesce(disposition, CASE WHEN said_of IN (SELECT raw_id FROM late_fact WHERE activity_id IS NULL) THEN 'late' END)
        AS disposition,
    said.reason::VARCHAR AS reason,
    said.evidence_id,
    observation.source,
    nullif(regexp_extract(observation.raw_id, '^[^:]*:(.*):[0-9]+(#[0-9]+)?$', 1), '') AS file,
    try_cast(regexp_extract(observation.raw_id, ':([0-9]+)(#[0-9]+)?$', 1) AS BIGINT) AS position,
    event_id,
    session_id,
    channel,
    line,
    direction,
    started_at,
    answered_at,
    ended_at,
    talk_seconds,
    attempt,
    from_endpoint,
    from_token,
    from_shown.display AS from_identifier,
    to_endpoint,
    to_token,
    to_shown.display AS to_identifier,
    via_endpoint,
    list_transform(parties, lambda party: party.role) AS recipient_roles,
    list_transform(parties, lambda party: party.token) AS recipient_tokens
FROM (SELECT *, raw_id AS said_of FROM observation) AS observation
LEFT JOIN (
    SELECT raw_id AS said_of, disposition::VARCHAR AS disposition, reason, evidence_id FROM current_disposition
) AS said USING (said_of)
LEFT JOIN shown_identifier AS from_shown ON from_shown.token = from_token
LEFT JOIN shown_identifier AS to_shown ON to_shown.token = to_token
UNION ALL BY NAME
SELECT raw_id, 'rejected' AS disposition, reason, source, file, position FROM dead_letter WHERE is_raw_event;

COMMENT ON VIEW evidence IS 'One row per raw event: what a source wrote, where it stands, and its one disposition. Key: raw_id.';
COMMENT ON COLUMN evidence.raw_id IS 'identity of the raw event: source:file:position, or the sender''s event id';
COMMENT ON COLUMN evidence.disposition IS 'interaction, duplicate, excluded or rejected; late: came after its time was closed, the next replay folds it; null: not folded yet';
COMMENT ON COLUMN evidence.reason IS 'of an excluded one: internal, automated, bulk, emergency, never_log, unanswered, no_human or too_short; of a rejected one: why it cannot be used';
COMMENT ON COLUMN evidence.evidence_id IS 'of an interaction''s member: joins interactions';
COMMENT ON COLUMN evidence.source IS 'source that wrote it';
COMMENT ON COLUMN evidence.file IS 'file, relative to the source';
COMMENT ON COLUMN evidence.position IS 'line from 1, byte offset in a mailbox, record from 1, or offset in a topic';
COMMENT ON COLUMN evidence.event_id IS 'the system''s own id of this event: Message-ID, unique id';
COMMENT ON COLUMN evidence.session_id IS 'the system''s own id of the whole call: linked id; the masked Message-ID of an email';
COMMENT ON COLUMN evidence.channel IS 'call, email, sms, chat, social or fax';
COMMENT ON COLUMN evidence.line IS 'of a call: contact_center, pbx or mobile';
COMMENT ON COLUMN evidence.direction IS 'what the source says; null when it does not say';
COMMENT ON COLUMN evidence.started_at IS 'start of the leg, or date of the message, UTC';
COMMENT ON COLUMN evidence.answered_at IS 'when talk began, UTC; null: nobody talked';
COMMENT ON COLUMN evidence.ended_at IS 'end of the leg, or date of the message, UTC';
COMMENT ON COLUMN evidence.talk_seconds IS 'seconds of talk on this leg';
COMMENT ON COLUMN evidence.attempt IS 'of a call leg: talk, unanswered or no_human; null for messages and marks';
COMMENT ON COLUMN evidence.from_endpoint IS 'device, queue or representative on the calling side, as the system names it';
COMMENT ON COLUMN evidence.from_token IS 'token of the calling or sending identifier; null: withheld';
COMMENT ON COLUMN evidence.from_identifier IS 'the same as it may be shown';
COMMENT ON COLUMN evidence.to_endpoint IS 'device, queue or representative on the called side';
COMMENT ON COLUMN evidence.to_token IS 'token of the called identifier; null for email';
COMMENT ON COLUMN evidence.to_identifier IS 'the same as it may be shown';
COMMENT ON COLUMN evidence.via_endpoint IS 'queue or ring group that the call went through';
COMMENT ON COLUMN evidence.recipient_roles IS 'of an email: to, cc, bcc or delivered, in header order';
COMMENT ON COLUMN evidence.recipient_tokens IS 'of an email: tokens of the recipients, in header order; joins identifiers';

CREATE OR REPLACE VIEW crm_activities AS
SELECT
    activity_id,
    kind,
    latest_activity.source,
    status,
    tier,
    interaction_id,
    logged_from,
    logged_to,
    precision,
    owner_id,
    creator_id,
    representative_ids,
    customer_ids,
    contact_ids,
    account_ids,
    keys,
    direction,
    latest_activity.raw_id
FROM current_activity_outcome
JOIN latest_activity USING (activity_id);

COMMENT ON VIEW crm_activities IS 'One row per activity or ticket of the CRM, newest version, deleted ones left out, and what it explains. Key: activity_id.';
COMMENT ON COLUMN crm_activities.activity_id IS 'id in the CRM; with the contact''s or account''s id when one record is tied to several customers';
COMMENT ON COLUMN crm_activities.kind IS 'call, email, sms, chat, social, fax, meeting, note, task, other or ticket';
COMMENT ON COLUMN crm_activities.source IS 'name of the CRM source';
COMMENT ON COLUMN crm_activities.status IS 'trace: the evidence of an interaction; redundant: a second record of one; unexplained: nothing stands behind it; siloed: a ticket tied to no customer';
COMMENT ON COLUMN crm_activities.tier IS 'how it fits the interaction: exact, same_representative, other_representative or inferred';
COMMENT ON COLUMN crm_activities.interaction_id IS 'the interaction that it explains, or is redundant for; joins interactions';
COMMENT ON COLUMN crm_activities.logged_from IS 'when it was logged, UTC: first instant of its precision';
COMMENT ON COLUMN crm_activities.logged_to IS 'when it was logged, UTC: last instant of its precision';
COMMENT ON COLUMN crm_activities.precision IS 'second, minute or day';
COMMENT ON COLUMN crm_activities.owner_id IS 'owner in the CRM';
COMMENT ON COLUMN crm_activities.creator_id IS 'creator in the CRM';
COMMENT ON COLUMN crm_activities.representative_ids IS 'representatives who own or created it';
COMMENT ON COLUMN crm_activities.customer_ids IS 'customers that it is tied to';
COMMENT ON COLUMN crm_activities.contact_ids IS 'contacts and leads that it is tied to';
COMMENT ON COLUMN crm_activities.account_ids IS 'accounts that it is tied to';
COMMENT ON COLUMN crm_activities.keys IS 'keys of interactions that it carries: masked Message-IDs, call ids';
COMMENT ON COLUMN crm_activities.direction IS 'inbound, outbound or null';
COMMENT ON COLUMN crm_activities.raw_id IS 'place of the record: source:file:position';

CREATE OR REPLACE VIEW dead_letters AS
SELECT source, file, position, unit, reason, raw_text, is_raw_event, raw_id
FROM dead_letter;

COMMENT ON VIEW dead_letters IS 'One row per record that could not be used. Key: raw_id.';
COMMENT ON COLUMN dead_letters.source IS 'source that wrote it';
COMMENT ON COLUMN dead_letters.file IS 'file, relative to the source';
COMMENT ON COLUMN dead_letters.position IS 'where it begins in the file, see unit';
COMMENT ON COLUMN dead_letters.unit IS 'what position counts: line from 1, byte from 0, or record from 1';
COMMENT ON COLUMN dead_letters.reason IS 'why it cannot be used';
COMMENT ON COLUMN dead_letters.raw_text IS 'the record, identifiers masked, at most 2,000 characters';
COMMENT ON COLUMN dead_letters.is_raw_event IS 'true: a raw event, counted as rejected in accounts; false: a record of the CRM or the directory';
COMMENT ON COLUMN dead_letters.raw_id IS 'identity of the record: source:file:position';

CREATE OR REPLACE VIEW expired AS
SELECT 'raw events' AS what, source, NULL::DATE AS month, NULL AS channel, disposition AS said, reason,
    sum(raw_count)::BIGINT AS row_count
FROM expired_event
GROUP BY ALL
UNION ALL
SELECT 'interactions', NULL, month, channel, outcome, NULL, interaction_count FROM expired_interaction;

COMMENT ON VIEW expired IS 'One row per kind of rows that left by retention, counted. Key: what, source, month, channel, said, reason.';
COMMENT ON COLUMN expired.what IS 'raw events, which accounts still count, or interactions, which no share counts any more';
COMMENT ON COLUMN expired.source IS 'of raw events: source that wrote them';
COMMENT ON COLUMN expired.month IS 'of interactions: month of their start, first day, UTC';
COMMENT ON COLUMN expired.channel IS 'of interactions: call, email, sms, chat, social or fax';
COMMENT ON COLUMN expired.said IS 'of raw events: interaction, duplicate or excluded; of interactions: their outcome';
COMMENT ON COLUMN expired.reason IS 'of excluded raw events: why';
COMMENT ON COLUMN expired.row_count IS 'how many left';

CREATE OR REPLACE VIEW feeds AS
WITH reached AS (
    SELECT source, max(complete_through) AS complete_through FROM feed_progress GROUP BY source
),
counted AS (
    SELECT
        source,
        count(*) AS file_count,
        sum(record_count)::BIGINT AS record_count,
        sum(contact_count)::BIGINT AS contact_count,
        sum(account_count)::BIGINT AS account_count,
        sum(crm_user_count)::BIGINT AS crm_user_count,
        sum(activity_count)::BIGINT AS activity_count,
        sum(rejected_record_count)::BIGINT AS rejected_count,
        min(CASE WHEN activity_count > 0 THEN first_at END) AS first_logged_at,
        max(CASE WHEN activity_count > 0 THEN last_at END) AS last_logged_at
    FROM source_file
    WHERE (NOT carries_raw_events OR crm_record_count > 0 OR rejected_record_count > 0)
        -- The directory is no feed.
        AND (directory_entry_count = 0 OR contact_count + account_count + crm_user_count + activity_count > 0)
    GROUP BY source
),
late AS (SELECT source, count(*) AS late_count FROM waiting_activity GROUP BY source)
SELECT
    source,
    complete_through,
    coalesce(complete_through = min(complete_through) OVER (), false) AS is_slowest,
    counted.* EXCLUDE (source),
    coalesce(late.late_count, 0) AS late_count
FROM counted
FULL JOIN reached USING (source)
LEFT JOIN late USING (source);

COMMENT ON VIEW feeds IS 'One row per CRM source: how much of it was read, and how far it reaches. Key: source.';
COMMENT ON COLUMN feeds.source IS 'name of the CRM source';
COMMENT ON COLUMN feeds.complete_through IS 'every activity logged before this has been read, UTC; interactions whose window ends later are pending';
COMMENT ON COLUMN feeds.is_slowest IS 'true: this source holds pending interactions back';
COMMENT ON COLUMN feeds.file_count IS 'files read';
COMMENT ON COLUMN feeds.record_count IS 'records met in them';
COMMENT ON COLUMN feeds.contact_count IS 'versions of contacts and leads read';
COMMENT ON COLUMN feeds.account_count IS 'versions of accounts read';
COMMENT ON COLUMN feeds.crm_user_count IS 'users read';
COMMENT ON COLUMN feeds.activity_count IS 'versions of activities and tickets read';
COMMENT ON COLUMN feeds.rejected_count IS 'records that could not be used; see dead_letters';
COMMENT ON COLUMN feeds.first_logged_at IS 'earliest activity, UTC';
COMMENT ON COLUMN feeds.last_logged_at IS 'latest activity, UTC';
COMMENT ON COLUMN feeds.late_count IS 'activities that came live after their time was closed; the next replay folds them';

CREATE OR REPLACE VIEW accounts AS
WITH raw AS (
    SELECT
        source,
        sum(record_count - crm_record_count - rejected_record_count)::BIGINT AS raw_count,
        sum(rejected_event_count)::BIGINT AS rejected_count
    FROM source_file
    WHERE carries_raw_events
    GROUP BY source
),
said AS (
    PIVOT (
        SELECT
            source, raw_count,
            CASE WHEN disposition = 'excluded' THEN reason::VARCHAR ELSE disposition::VARCHAR END AS said_of
        FROM disposition_count
    )
    ON said_of IN (
        'interaction', 'duplicate', 'internal', 'automated', 'bulk', 'emergency', 'never_log', 'unanswered', 'no_human',
        'too_short'
    )
    USING coalesce(sum(raw_count), 0)::BIGINT
    GROUP BY source
),
late AS (SELECT source, count(*) AS late_count FROM waiting_event GROUP BY source)
SELECT
    source,
    coalesce(raw.raw_count, 0) AS raw_count,
    coalesce(said.interaction, 0) AS interaction_count,
    coalesce(said.duplicate, 0) AS duplicate_count,
    coalesce(said.internal, 0) AS internal_count,
    coalesce(said.automated, 0) AS automated_count,
    coalesce(said.bulk, 0) AS bulk_count,
    coalesce(said.emergency, 0) AS emergency_count,
    coalesce(said.never_log, 0) AS never_log_count,
    coalesce(said.unanswered, 0) AS unanswered_count,
    coalesce(said.no_human, 0) AS no_human_count,
    coalesce(said.too_short, 0) AS too_short_count,
    coalesce(raw.rejected_count, 0) AS rejected_count,
    coalesce(late.late_count, 0) AS late_count,
    coalesce(raw.raw_count, 0) - coalesce(raw.rejected_count, 0) - coalesce(late.late_count, 0) - coalesce(
        said.interaction + said.duplicate + said.internal + said.automated + said.bulk + said.emergency
        + said.never_log + said.unanswered + said.no_human + said.too_short, 0
    ) AS unaccounted_count
FROM raw
FULL JOIN said USING (source)
LEFT JOIN late USING (source);

COMMENT ON VIEW accounts IS 'One row per source of raw events: every raw event in one place. raw_count = the other counts together. Key: source.';
COMMENT ON COLUMN accounts.source IS 'name of the source';
COMMENT ON COLUMN accounts.raw_count IS 'raw events met by the reader, used or not';
COMMENT ON COLUMN accounts.interaction_count IS 'members of an interaction';
COMMENT ON COLUMN accounts.duplicate_count IS 'the same record read before';
COMMENT ON COLUMN accounts.internal_count IS 'excluded: both parties are the company''s';
COMMENT ON COLUMN accounts.automated_count IS 'excluded: sent by a machine';
COMMENT ON COLUMN accounts.bulk_count IS 'excluded: sent to a list or to very many';
COMMENT ON COLUMN accounts.emergency_count IS 'excluded: calls to an emergency number';
COMMENT ON COLUMN accounts.never_log_count IS 'excluded: the party is on the list of those never counted';
COMMENT ON COLUMN accounts.unanswered_count IS 'excluded: nobody answered';
COMMENT ON COLUMN accounts.no_human_count IS 'excluded: a menu, an announcement or voicemail answered';
COMMENT ON COLUMN accounts.too_short_count IS 'excluded: less talk than the threshold';
COMMENT ON COLUMN accounts.rejected_count IS 'could not be used; see dead_letters';
COMMENT ON COLUMN accounts.late_count IS 'came live after their time was closed; the next replay folds them';
COMMENT ON COLUMN accounts.unaccounted_count IS 'raw events without a disposition; anything but 0 is a defect';

CREATE OR REPLACE VIEW daily_share AS
WITH quarter AS (
    -- Zones change their offset on quarters of an hour: only these need a conversion, not each interaction.
    SELECT
        epoch_us(started_at) // 900000000 AS number,
        channel,
        count(*) AS interaction_count,
        count(*) FILTER (outcome = 'traced') AS traced_count,
        count(*) FILTER (outcome = 'siloed') AS siloed_count,
        count(*) FILTER (outcome = 'bypassed') AS bypassed_count,
        count(*) FILTER (outcome = 'pending') AS pending_count
    FROM current_interaction
    GROUP BY ALL
),
daily AS (
    SELECT
        timezone((SELECT timezone FROM company_zone), timezone('UTC', make_timestamp(number * 900000000)))::DATE AS day,
        channel,
        sum(interaction_count)::BIGINT AS interaction_count,
        sum(traced_count)::BIGINT AS traced_count,
        sum(siloed_count)::BIGINT AS siloed_count,
        sum(bypassed_count)::BIGINT AS bypassed_count,
        sum(pending_count)::BIGINT AS pending_count
    FROM quarter
    GROUP BY ALL
),
decided AS (
    SELECT *, traced_count + siloed_count + bypassed_count AS n, siloed_count + bypassed_count AS untraced_count
    FROM daily
),
-- The Wilson interval as in pipeline/estimate.py.
shared AS (
    SELECT *, untraced_count / nullif(n, 0) AS share, pow(1.959963984540054, 2) / nullif(n, 0) AS weight FROM decided
),
reaching AS (
    SELECT
        *,
        (share + weight / 2) / (1 + weight) AS centre,
        sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight) AS reach
    FROM shared
)
SELECT
    day,
    channel,
    interaction_count,
    traced_count,
    siloed_count,
    bypassed_count,
    pending_count,
    share AS bypass_share,
    CASE WHEN n > 0 THEN greatest(0, least(share, centre - reach)) END AS bypass_share_low,
    CASE WHEN n > 0 THEN least(1, greatest(share, centre + reach)) END AS bypass_share_high
FROM reaching;

COMMENT ON VIEW daily_share IS 'One row per local day and channel: the bypass share. Key: day, channel.';
COMMENT ON COLUMN daily_share.day IS 'day of the start, in the company''s time zone';
COMMENT ON COLUMN daily_share.channel IS 'call, email, sms, chat, social or fax';
COMMENT ON COLUMN daily_share.interaction_count IS 'interactions';
COMMENT ON COLUMN daily_share.traced_count IS 'of them traced';
COMMENT ON COLUMN daily_share.siloed_count IS 'of them siloed';
COMMENT ON COLUMN daily_share.bypassed_count IS 'of them bypassed';
COMMENT ON COLUMN daily_share.pending_count IS 'of them pending';
COMMENT ON COLUMN daily_share.bypass_share IS '(bypassed + siloed) / (traced + bypassed + siloed), 0-1; null when nothing is decided';
COMMENT ON COLUMN daily_share.bypass_share_low IS 'lower end of the 95 % Wilson interval, 0-1';
COMMENT ON COLUMN daily_share.bypass_share_high IS 'upper end of the 95 % Wilson interval, 0-1';

CREATE OR REPLACE VIEW identifiers AS
SELECT token, kind, display AS identifier FROM shown_identifier;

COMMENT ON VIEW identifiers IS 'One row per token of a number, address, handle or domain. Key: token.';
COMMENT ON COLUMN identifiers.token IS '12 letters and digits that stand for the identifier in every other view';
COMMENT ON COLUMN identifiers.kind IS 'phone, email, handle or domain';
COMMENT ON COLUMN identifiers.identifier IS 'as it may be shown; masked, unless privacy.identifiers is clear';

CREATE OR REPLACE VIEW files AS
SELECT
    source, file, format, byte_count, record_count, observation_count, crm_record_count,
    rejected_event_count + rejected_record_count AS rejected_count, first_at, last_at
FROM source_file;

COMMENT ON VIEW files IS 'One row per file or folder read. Key: source, file.';
COMMENT ON COLUMN files.source IS 'source that it belongs to';
COMMENT ON COLUMN files.file IS 'its path, relative to the source';
COMMENT ON COLUMN files.format IS 'name of the parser that read it';
COMMENT ON COLUMN files.byte_count IS 'size as stored';
COMMENT ON COLUMN files.record_count IS 'records met by the reader, used or not';
COMMENT ON COLUMN files.observation_count IS 'raw events that could be used';
COMMENT ON COLUMN files.crm_record_count IS 'records of the CRM or the directory that could be used';
COMMENT ON COLUMN files.rejected_count IS 'records that could not be used; see dead_letters';
COMMENT ON COLUMN files.first_at IS 'earliest raw event or activity, UTC';
COMMENT ON COLUMN files.last_at IS 'latest raw event or activity, UTC';

CREATE OR REPLACE VIEW runs AS
SELECT
    run_number, started_at, finished_at, bypassflow_version, configuration_digest, company_id, timezone,
    complete_through, settings
FROM run;

COMMENT ON VIEW runs IS 'One row per run that made or changed this store. Key: run_number.';
COMMENT ON COLUMN runs.run_number IS 'counts from 1';
COMMENT ON COLUMN runs.started_at IS 'start, UTC';
COMMENT ON COLUMN runs.finished_at IS 'end, UTC';
COMMENT ON COLUMN runs.bypassflow_version IS 'version of bypassflow';
COMMENT ON COLUMN runs.configuration_digest IS 'digest of the configuration; the same for the same';
COMMENT ON COLUMN runs.company_id IS 'company that is measured';
COMMENT ON COLUMN runs.timezone IS 'time zone of the company, in which days and hours are counted';
COMMENT ON COLUMN runs.complete_through IS 'what the configuration says of the CRM export''s reach, UTC; null: read from the export';
COMMENT ON COLUMN runs.settings IS 'windows, tiers and thresholds used, as JSON';
