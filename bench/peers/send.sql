-- Stores one message like Parley without batching, for pgbench: lock, access check, message, event.
\set user_id :client_id + 1
\set conversation_id :client_id / :per_conversation + 1
begin;
select topic from topics where topic = 'conversation:' || :conversation_id::text for update;
select participants.id as participant_id, users.id as author_id, users.email, users.first_name, users.last_name,
  users.birthday, users.created_at, users.updated_at, coalesce(presence.online, false) as online
from participants
join users on users.id = participants.user_id
left join presence on presence.actor_kind = 'user' and presence.actor_id = users.id
where participants.conversation_id = :conversation_id::int and participants.user_id = :user_id::int;
insert into messages (conversation_id, author_user_id, participant_id, text, status, media_count)
values (:conversation_id::int, :user_id::int, :user_id::int, repeat('.', 200), 'DONE', 0)
returning *;
with bumped as (
  update topics set head = head + 1 where topic = 'conversation:' || :conversation_id::text returning topic, head
)
insert into events (topic, seq, event, at)
select topic, head, json_build_object('type', 'message.sent', 'text', repeat('.', :event_bytes::int)), clock_timestamp()
from bumped
returning seq, at;
commit;
