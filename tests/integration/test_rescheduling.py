# SPDX-License-Identifier: MIT
"""What a change of a post does, at each moment of its way: one row of the table per cell.

A change wins until begin, and loses from then on: what the receiver was sent is recorded as it is.
Afterwards a new text or time takes up again what failed, was missed or cancelled, and never what is
sent or held. Every cell ends when nothing is due any more, and is judged by what the receiver got,
and then by what our tables and the application's say of it."""

from datetime import timedelta

import pytest

from . import publishing as p
from . import world as w
from .one_world import world, world_of_file     # noqa: F401

NEW = "another text"
LATER = timedelta(seconds=1.2)


class Case:
    """One post on its way to a moment, changed there, and brought to its end."""

    def __init__(self, world, webhooks, moment):
        self.world, self.fake = world, webhooks.fake
        world.scale(20, send_deadline="200 ms")     # nobody waits that long for a held one
        n_accounts = 2 if moment == "partly" else 1
        accounts = [p.webhook_account(world, webhooks)]
        if n_accounts == 2:
            self.second(accounts, webhooks)
        late = timedelta(hours=2.5) if moment == "missed" else timedelta(0)
        self.post = world.post(*accounts, due=w.utc_now() - late)
        self.accounts = accounts
        self.later = None
        getattr(self, "to_" + moment)()

    def second(self, accounts, webhooks):
        """Another account of the same member."""
        other = webhooks.account(self.world)
        self.world.rows('UPDATE public.auth_providers SET "userId" = %s WHERE id::text = %s',
                        (accounts[0].user, other.id))
        other = w.Account(other.id, accounts[0].user, other.receiver)
        p.remember(self.world, other)
        accounts.append(other)

    # Moments: brings the post there, and says in self.go_on what lets it go on.

    def to_pending(self):
        self.world.rows("SELECT * FROM automapost.pause('social-media-post', 'test')")
        self.world.run()
        assert p.delivery(self.world, self.post).state == "pending"
        self.go_on = lambda: self.world.rows(
            "SELECT * FROM automapost.resume('social-media-post')")

    def to_prepare(self):
        process = self.world.tick(stop_point="prepare")
        process.wait_stopped()
        assert p.delivery(self.world, self.post).begins == 0

        def go_on():
            process.cont()
            self.finish(process)
        self.go_on = go_on

    def to_sending(self):
        hang = self.fake.fault("POST *", "hang-before")
        process = self.world.tick()
        assert hang.reached.wait(20)
        assert p.delivery(self.world, self.post).state == "sending"

        def go_on():
            hang.release()
            self.finish(process)
        self.go_on = go_on

    def to_partly(self):
        """The first account has it; the second's platform asks for patience."""
        self.fake.fault(p.is_to(self.accounts[1]), "answer", status=429,
                        headers={"retry-after": "600"})
        self.world.run()
        assert p.delivery(self.world, self.post).state == "sent"
        assert p.delivery(self.world, self.post, self.accounts[1]).state == "pending"
        self.go_on = lambda: self.world.rows(
            "SELECT * FROM automapost.resume(%s)", (f"provider:webhook:{self.accounts[1].id}",))

    def to_failed(self):
        self.fake.fault("POST *", "answer", status=400)
        self.world.run()
        assert p.delivery(self.world, self.post).state == "failed"
        self.go_on = lambda: None

    def to_missed(self):
        self.world.run()
        assert p.delivery(self.world, self.post).state == "missed"
        self.go_on = lambda: None

    def to_held(self):
        """The answer was lost, and the post is edited before it can be sent once more."""
        self.fake.fault("POST *", "process-then-close")
        self.world.run()
        assert p.delivery(self.world, self.post).state == "unconfirmed"
        p.update(self.world, self.post, content="edited in between")
        self.world.settle_down()
        assert p.delivery(self.world, self.post).state == "held"
        self.go_on = lambda: None

    def to_cancelled(self):
        """By a person. (What the system cancels is in the cells of the other moments.)"""
        self.to_pending()
        assert p.cancel(self.world, self.post) == "cancelled"

    # Changes.

    def reschedule(self):
        self.later = w.utc_now() + LATER
        p.update(self.world, self.post, scheduledTo=self.later)

    def edit(self):
        p.update(self.world, self.post, content=NEW)

    def draft(self):
        p.update(self.world, self.post, status="DRAFT")

    def unapprove(self):
        p.update(self.world, self.post, status="PENDING_APPROVAL")

    def delete(self):
        p.update(self.world, self.post, deletedAt=w.utc_now())

    def remove(self):
        p.hard_delete(self.world, self.post)

    def choose_nothing(self):
        p.update(self.world, self.post, authProviderIds=[self.accounts[0].id])

    # The end.

    def finish(self, process):
        assert process.wait(30) == 0, process.stderr

    def settle(self):
        if self.later is None:
            self.world.settle_down()
            return
        # Before the new time nothing moves; at it, the post is as due as any.
        before = len(self.fake.published)
        self.world.run()
        assert w.utc_now() < self.later, "the machine was too slow for this test"
        assert len(self.fake.published) == before
        self.world.wait_until(lambda: w.utc_now() > self.later, what="the new time")
        self.world.settle_down()

    def got(self):
        """Each account's texts, in the order of the accounts; OLD stands for the post's own."""
        return " | ".join(
            ", ".join({self.post.text: "old", NEW: "new"}.get(d.payload["data"]["text"], "?")
                      for d in self.fake.deliveries if d.path == p.account_path(account)) or "-"
            for account in self.accounts)

    def states(self):
        return " | ".join(p.delivery(self.world, self.post, account).state
                          for account in self.accounts)


# moment     change         the receiver got   deliveries           posts.status      publication
TABLE = """
  pending    | reschedule | old              / sent               / SENT             / sent
  pending    | edit       | new              / sent               / SENT             / sent
  pending    | draft      | -                / cancelled          / DRAFT            / cancelled
  pending    | unapprove  | -                / cancelled          / PENDING_APPROVAL / cancelled
  pending    | delete     | -                / cancelled          / SCHEDULED        / cancelled
  pending    | remove     | -                / cancelled          / None             / cancelled
  prepare    | reschedule | old              / sent               / SENT             / sent
  prepare    | edit       | new              / sent               / SENT             / sent
  prepare    | draft      | -                / cancelled          / DRAFT            / cancelled
  prepare    | unapprove  | -                / cancelled          / PENDING_APPROVAL / cancelled
  prepare    | delete     | -                / cancelled          / SCHEDULED        / cancelled
  prepare    | remove     | -                / cancelled          / None             / cancelled
  sending    | reschedule | old              / sent               / SENT             / sent
  sending    | edit       | old              / sent               / SENT             / sent
  sending    | draft      | old              / sent               / SENT             / sent
  sending    | unapprove  | old              / sent               / SENT             / sent
  sending    | delete     | old              / sent               / SENT             / sent
  sending    | remove     | old              / sent               / None             / sent
  partly     | reschedule | old | old        / sent | sent        / SENT             / sent
  partly     | edit       | old | new        / sent | sent        / SENT             / sent
  partly     | draft      | old | -          / sent | cancelled   / SENT             / partly_sent
  partly     | unapprove  | old | -          / sent | cancelled   / SENT             / partly_sent
  partly     | delete     | old | -          / sent | cancelled   / SENT             / partly_sent
  partly     | remove     | old | -          / sent | cancelled   / None             / partly_sent
  partly     | choose_nothing | old | -      / sent | cancelled   / SENT             / partly_sent
  failed     | reschedule | old              / sent               / SENT             / sent
  failed     | edit       | new              / sent               / SENT             / sent
  failed     | draft      | -                / failed             / DRAFT            / failed
  failed     | unapprove  | -                / failed             / PENDING_APPROVAL / failed
  failed     | delete     | -                / failed             / SCHEDULED        / failed
  failed     | remove     | -                / failed             / None             / failed
  missed     | reschedule | old              / sent               / SENT             / sent
  missed     | edit       | -                / missed             / SCHEDULED        / missed
  missed     | draft      | -                / missed             / DRAFT            / missed
  missed     | unapprove  | -                / missed             / PENDING_APPROVAL / missed
  missed     | delete     | -                / missed             / SCHEDULED        / missed
  missed     | remove     | -                / missed             / None             / missed
  held       | reschedule | old              / held               / SCHEDULED        / held
  held       | edit       | old              / held               / SCHEDULED        / held
  held       | draft      | old              / held               / DRAFT            / held
  held       | unapprove  | old              / held               / PENDING_APPROVAL / held
  held       | delete     | old              / held               / SCHEDULED        / held
  held       | remove     | old              / held               / None             / held
  cancelled  | reschedule | old              / sent               / SENT             / sent
  cancelled  | edit       | new              / sent               / SENT             / sent
  cancelled  | draft      | -                / cancelled          / DRAFT            / cancelled
  cancelled  | unapprove  | -                / cancelled          / PENDING_APPROVAL / cancelled
  cancelled  | delete     | -                / cancelled          / SCHEDULED        / cancelled
  cancelled  | remove     | -                / cancelled          / None             / cancelled
"""


def cells():
    for line in TABLE.strip().splitlines():
        ways, states, status, publication = (part.strip() for part in line.split("/"))
        moment, change, got = (part.strip() for part in ways.split("|", 2))
        yield pytest.param(moment, change, got, states, status, publication,
                           id=f"{moment}-{change}")


@pytest.mark.parametrize("moment, change, got, states, status, publication", cells())
def test_cell(world, webhooks, moment, change, got, states, status, publication):
    case = Case(world, webhooks, moment)
    getattr(case, change)()
    case.go_on()
    case.settle()
    assert (case.got(), case.states(), str(p.status(world, case.post)),
            p.publication(world, case.post)) == (got, states, status, publication)
    for receiver in world.receivers:
        receiver.check()
    world.assert_nothing_running()


# Comments: they obey the delivery above them, not the post's status.

COMMENTS = """
  pending | edited  | text, new     | sent
  pending | emptied | text          | cancelled
  pending | deleted | text          | cancelled
  pending | removed | text          | cancelled
  pending | drafted | text, comment | sent
  pending | moved   | text, comment | sent
  prepare | edited  | text, new     | sent
  prepare | emptied | text          | cancelled
  prepare | deleted | text          | cancelled
  prepare | removed | text          | cancelled
  prepare | drafted | text, comment | sent
  sending | edited  | text, comment | sent
  sending | emptied | text, comment | sent
  sending | deleted | text, comment | sent
  sending | removed | text, comment | sent
  failed  | edited  | text, new     | sent
  failed  | emptied | text          | failed
  failed  | deleted | text          | failed
  failed  | removed | text          | failed
  failed  | drafted | text          | failed
  failed  | moved   | text          | failed
  failed  | reworded | text         | failed
  missed  | edited  | text          | missed
  person  | edited  | text, new     | sent
  person  | moved   | text          | cancelled
  emptied | edited  | text, new     | sent
"""


@pytest.mark.parametrize("moment, change, got, state", [
    pytest.param(*(part.strip() for part in line.split("|")),
                 id="-".join(part.strip() for part in line.split("|")[:2]))
    for line in COMMENTS.strip().splitlines()])
def test_comment(world, webhooks, moment, change, got, state):
    world.scale(20)
    fake = webhooks.fake
    post = world.post(p.webhook_account(world, webhooks), text="text", comment="comment")
    if moment == "pending":
        fake.fault(p.is_comment, "answer", status=429, headers={"retry-after": "600"})
        world.run()
    elif moment == "prepare":
        process = world.tick(stop_point="prepare:2")    # the post's own comes first
        process.wait_stopped()
    elif moment == "sending":
        hang = fake.fault(p.is_comment, "hang-before")
        process = world.tick()
        assert hang.reached.wait(20)
    else:
        end_comment(world, fake, post, moment)
    expected = {"prepare": "pending", "person": "cancelled", "emptied": "cancelled"}
    assert p.delivery(world, post, kind="comment").state == expected.get(moment, moment)

    if change == "removed":
        p.hard_delete(world, post)
    else:
        p.update(world, post, **{
            "edited": {"firstComment": "new"},
            "emptied": {"firstComment": " "},
            "deleted": {"deletedAt": w.utc_now()},
            "drafted": {"status": "DRAFT"},
            "moved": {"scheduledTo": w.utc_now() + timedelta(days=1)},
            "reworded": {"content": "text, said better"},
        }[change])

    if moment == "pending":
        world.rows("SELECT * FROM automapost.resume(%s)",
                   (f"provider:webhook:{post.accounts[0].id}",))
    elif moment in ("prepare", "sending"):
        if moment == "sending":
            hang.release()
        else:
            process.cont()
        assert process.wait(30) == 0, process.stderr
    world.settle_down()
    assert ", ".join(webhooks.texts()) == got
    assert p.delivery(world, post, kind="comment").state == state
    assert p.delivery(world, post).state == "sent"
    assert p.publication(world, post) == "sent"


def end_comment(world, fake, post, moment) -> None:
    """The post is out, and its comment ends without being sent."""
    if moment == "failed":
        fake.fault(p.is_comment, "answer", status=400)
        world.settle_down()
        return
    fake.fault(p.is_comment, "answer", status=429, headers={"retry-after": "600"})
    world.run()
    if moment == "missed":      # two hours and a half pass
        world.rows("UPDATE automapost.post_deliveries SET due_at = due_at - interval '2.5 h',"
                   " sent_at = sent_at - interval '2.5 h'")
        world.run("cleanup")
    elif moment == "person":
        world.rows("SELECT automapost.cancel(job_id::text) FROM automapost.post_deliveries"
                   " WHERE kind = 'comment'")
    else:
        p.update(world, post, firstComment="")
    world.rows("SELECT * FROM automapost.resume(%s)",
               (f"provider:webhook:{post.accounts[0].id}",))
    if moment == "emptied":
        world.settle_down()


def test_a_comment_that_fails_harms_no_post(world, webhooks):
    world.scale(20)
    webhooks.fake.fault(p.is_comment, "answer", status=400)
    post = world.post(p.webhook_account(world, webhooks), comment="a comment")
    world.settle_down()
    assert webhooks.texts() == [post.text]
    assert (p.status(world, post), p.publication(world, post)) == ("SENT", "sent")
    told = world.value("SELECT accounts #> '{0,first_comment}' FROM automapost.post_publication"
                       " WHERE post_id = %s", (post.id,))
    assert (told["state"], told["code"]) == ("failed", "rejected")


def test_approved_again_it_goes_out(world, webhooks):
    world.scale(20)
    post = world.post(p.webhook_account(world, webhooks))
    world.rows("SELECT * FROM automapost.pause('social-media-post', 'test')")
    world.run()
    p.update(world, post, status="DRAFT")
    world.rows("SELECT * FROM automapost.resume('social-media-post')")
    world.settle_down()
    assert p.publication(world, post) == "cancelled"
    p.update(world, post, status="SCHEDULED")
    world.settle_down()
    assert webhooks.texts() == [post.text]
    assert (p.status(world, post), p.publication(world, post)) == ("SENT", "sent")


def test_a_person_s_cancellation_is_not_taken_back_by_collect(world, webhooks):
    case = Case(world, webhooks, "cancelled")
    case.go_on()
    for _ in range(3):
        world.run()
    assert (case.got(), case.states()) == ("-", "cancelled")


def test_what_is_sent_and_scheduled_again_is_told_to_be_sent(world, webhooks):
    """It is out already, for ever: nothing goes out, and the application hears so once more."""
    world.scale(20)
    post = world.post(p.webhook_account(world, webhooks))
    world.settle_down()
    p.update(world, post, status="SCHEDULED", scheduledTo=w.utc_now(), content=NEW)
    world.run()
    assert webhooks.texts() == [post.text]
    assert (p.status(world, post), p.publication(world, post)) == ("SENT", "sent")


def test_what_fails_as_edited_fails_once(world, webhooks):
    """The end is an end for the text that was tried, not for the one that was collected."""
    case = Case(world, webhooks, "pending")
    p.update(world, case.post, content="x" * 100_001)
    case.go_on()
    world.settle_down()
    for _ in range(3):
        world.run()
    assert (case.got(), case.states()) == ("-", "failed")
    assert p.delivery(world, case.post).code == "text-too-long"
    jobs = world.value("SELECT count(*) FROM automapost.job_queue WHERE payload ->> 'postId' = %s",
                       (case.post.id,))
    assert jobs == 1


@pytest.mark.parametrize("moment", ["failed", "missed", "held", "cancelled"])
def test_what_only_a_change_moves_starts_no_worker(world, webhooks, moment):
    """It is due and scheduled for hours to come; a tick looks, and that is all."""
    case = Case(world, webhooks, moment)
    case.go_on()
    world.settle_down()
    world.rows("DELETE FROM automapost.workers")
    process = world.run(env={"AUTOMAPOST_LOG_LEVEL": "debug"})
    assert "Nothing to do" in process.stderr
    assert world.value("SELECT count(*) FROM automapost.workers") == 0
