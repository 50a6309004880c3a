-- Who is connected to what: login, database.
SELECT session_user::text, current_database()::text
