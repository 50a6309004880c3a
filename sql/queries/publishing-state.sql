-- One JSON object: which installation this is, when publishing began here, from when on posts are published, what is too late.
SELECT automapost.publishing_state()
