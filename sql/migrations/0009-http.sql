-- Job types that the application does itself when it is called: handler = 'http'.

ALTER TABLE automapost.job_definitions
    ADD COLUMN http_url text,
    ADD COLUMN http_credential text,  -- the name of a credential file, never its content
    ADD COLUMN http_headers jsonb;    -- {"Name": "value"}
