-- SPDX-License-Identifier: MIT
-- What "automapost dev up" puts into the application's tables, once, when they are empty: two
-- members, their accounts, and posts that show each way a post can go. Times count from now. Nothing
-- here reaches a platform: the tokens are none, and deliveries go to the sandbox page.

WITH member AS (
    INSERT INTO public.users (email, name, "emailVerified", "onboardingCompleted")
    VALUES ('member-1@example.test', 'Member 1', true, true),
           ('member-2@example.test', 'Member 2', true, false)
    RETURNING id, email
), signed_in AS (
    INSERT INTO public.sessions ("userId") SELECT id FROM member
), account AS (
    INSERT INTO public.auth_providers
        ("userId", provider, "providerAccountId", "accessToken", "expiresAt")
    SELECT m.id, a.provider, a.remote, 'sample-token', now() + interval '60 days'
    FROM member m
    JOIN (VALUES
        ('member-1@example.test', 'linkedin', 'sample-member-1'),
        ('member-1@example.test', 'bluesky', 'did:plc:samplesamplesamplesample'),
        ('member-1@example.test', 'mastodon', 'member1@mastodon.example.test'),
        ('member-2@example.test', 'linkedin', 'urn:li:organization:1')
    ) a (email, provider, remote) USING (email)
    RETURNING id, "userId", provider
)
INSERT INTO public.posts
    ("userId", content, "firstComment", "scheduledTo", status, "authProviderIds", providers)
SELECT m.id, p.content, p.comment, now() + p.after, p.status::public."PostStatus",
    ARRAY(SELECT a.id::text FROM account a WHERE a."userId" = m.id AND a.provider = ANY (p.providers)),
    p.providers
FROM member m
JOIN (VALUES
    ('member-1@example.test', 'SCHEDULED', interval '0', ARRAY['linkedin', 'bluesky', 'mastodon'],
     'This sample post was due when the database was made. It goes to three accounts at once.',
     'And this is its first comment, under each of the three.'),
    ('member-2@example.test', 'SCHEDULED', interval '1 minute', ARRAY['linkedin'],
     'This one is due a minute later, on the page of an organization.', NULL),
    ('member-1@example.test', 'SCHEDULED', interval '2 minutes', ARRAY['linkedin', 'bluesky'],
     repeat('This text is longer than Bluesky takes: it appears on LinkedIn, and fails by name on Bluesky. ', 4),
     NULL),
    ('member-1@example.test', 'SCHEDULED', interval '1 day', ARRAY['mastodon'],
     'This one is for tomorrow.', NULL),
    ('member-1@example.test', 'DRAFT', NULL, ARRAY['linkedin'], 'A draft is never published.', NULL),
    ('member-2@example.test', 'PENDING_APPROVAL', interval '0', ARRAY['linkedin'],
     'This one waits for approval, although its time has come.', NULL)
) p (email, status, after, providers, content, comment) USING (email);
