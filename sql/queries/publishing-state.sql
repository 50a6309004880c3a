-- One JSON object: when publishing began here, from when on posts are published, what is too late.
SELECT automapost.publishing_state()
