// The statements that Parley runs for the initial query.

export const ACTIVE = `select "id" from "users" where not exists (select from revoked_tokens where token_id = $1) and ("sessions_since" is null or "sessions_since" <= to_timestamp($2::float8 / 1000)) and "id" = $3`;

export const CIRCLES = `select "circles"."id", "circles"."name", "circles"."created_at", "circles"."updated_at" from "circles" inner join "memberships" on "memberships"."circle_id" = "circles"."id" where "memberships"."user_id" = $1 order by "circles"."id"`;

export const CONVERSATIONS = `select "conversations"."id", "conversations"."circle_id", "conversations"."name", "conversations"."device_access", "conversations"."created_at", "conversations"."updated_at" from "conversations" inner join "participants" on "participants"."conversation_id" = "conversations"."id" where "participants"."user_id" = $1 and "conversations"."circle_id" = any($2::int[]) order by "conversations"."id"`;

export const PARTICIPANTS = `select "participants"."id", "participants"."conversation_id", "participants"."user_id", "participants"."role", "participants"."created_at", "participants"."updated_at" from "participants" where "conversation_id" = any($1::int[]) order by "id"`;

export const MESSAGES = `select "page".* from unnest($1::int[]) as input(id) inner join lateral (select "messages"."id", "messages"."conversation_id", "messages"."author_user_id", "messages"."author_device_id", "messages"."participant_id", "messages"."text", "messages"."status", "messages"."media_count", "messages"."sent_at", "messages"."updated_at" from "messages" where "messages"."conversation_id" = "input"."id" order by "messages"."id" desc limit $2) as "page" on true order by "page"."id" desc`;

export const USERS = `select "users"."id", "users"."email", "users"."first_name", "users"."last_name", "users"."birthday", "users"."created_at", "users"."updated_at", coalesce(presence.online, false) as "online" from "users" left join "presence" on "presence"."actor_kind" = $1 and "presence"."actor_id" = "users"."id" where "users"."id" = any($2::int[])`;
