/* SPDX-License-Identifier: MIT
 *
 * How a delivery travels, as built: two workers, a person, the application, a platform, and what
 * can go wrong between them, for spin to try in every order within bounds. tests/model/run says
 * which bounds, and which rules it breaks on purpose. An atomic block is one transaction (its SQL
 * function is named beside it) or one step of a worker between two of them.
 *
 * Time is not in it, but for what the CHECKs of automapost.engine and the deadlines guarantee:
 *   - A send that passed the fence has ended before anybody reconciles: it ends by begun_at +
 *     send_deadline, and nobody looks before that and a margin. So a job whose delivery is
 *     unconfirmed is claimable when no send is under_way.
 *   - A platform that took a request publishes it, if at all, within reread_after of the first
 *     look. So the second look finds nothing in_transit.
 *   - A person who says what became of a held one takes longer than a send, and than a fence.
 * Which beat arrives and who is rescued when is left open: a worker may fall silent at any step, be
 * given up or not, and go on. Not covered: a process stopped between the fence and the system call
 * that writes the first byte, for longer than all of these together.
 *
 * WAY     1 read, 2 resend, 3 none: how an unknown outcome is resolved
 * N       1 a post, 2 a post and its first comment
 * BUG     a rule that is broken; the list is in tests/model/run
 * others  how often each thing may happen in one history
 */
#ifndef WAY
#define WAY 1
#endif
#ifndef N
#define N 1
#endif
#ifndef BUG
#define BUG 0
#endif
#ifndef CRASHES /* kill -9, a host that dies */
#define CRASHES 0
#endif
#ifndef PAUSES /* SIGSTOP, or a database out of reach: beats stop for longer than the fence */
#define PAUSES 0
#endif
#ifndef MISHAPS /* requests and answers of the platform lost or late, no connection */
#define MISHAPS 0
#endif
#ifndef REFUSALS /* the platform refuses for good */
#define REFUSALS 0
#endif
#ifndef LOSSES /* answers of the database lost */
#define LOSSES 0
#endif
#ifndef STOPS /* SIGTERM between claim and send */
#define STOPS 0
#endif
#ifndef EDITS
#define EDITS 0
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef RETRIES
#define RETRIES 0
#endif
#ifndef RESOLVES
#define RESOLVES 0
#endif
#ifndef RESTORES /* the database is put back to what it knew at some moment before */
#define RESTORES 0
#endif
#ifndef LATE /* 1: the late limit may pass before any claim */
#define LATE 0
#endif

#define READ (WAY == 1)
#define RESEND (WAY == 2)
#define NONE (WAY == 3)
#define POST 0
#define COMMENT 1

mtype = { absent, pending, sending, unconfirmed, sent, failed, missed, held, cancelled };
mtype = { no_job, waiting, running };
mtype = { nothing, receipt, retry, refused, unknown, unsent, put_back, not_found, hopeless };

/* post_deliveries */
mtype state[N] = absent;
byte begin_number[N];
byte stored[N];    /* version: whose bytes are stored, or at which it ended */
bool doubt[N];     /* first_sent_at < begun_at: these bytes were sent before */
bool looked[N];    /* absent_at: one look found nothing */
bool by_person[N]; /* cancelled_by */

/* job_queue: the live job of a delivery */
mtype job[N] = no_job;
byte lease[N], owner[N];
bool begun[N], cancel_asked[N];
bool unnamed[N]; /* its worker lives and names it in no beat */
byte leases;     /* the sequence */

#if RESTORES
/* hosts, one for each worker; and the marks in their state folders */
byte begins[2], mark[2];
bool compared[2] = true;
bool unmarked[2]; /* begun, and the mark is not written yet */
bool lost_some;   /* a mark was above what the database knew */
bool in_doubt[N];

byte in_hand[2];  /* the lease with which each works */
byte near[2];     /* its begin, where it is neither at the fence yet nor given up; 0: none */
bool too_late[2]; /* send_deadline has passed since */
byte drawn;       /* the highest lease ever */

/* what a restore brings back */
bool saved;
mtype saved_state[N], saved_job[N];
byte saved_begin_number[N], saved_stored[N], saved_lease[N], saved_owner[N];
bool saved_doubt[N], saved_looked[N], saved_in_doubt[N], saved_begun[N], saved_unnamed[N];
byte saved_leases, saved_begins[2];
bool saved_ended[2];
#define COMPARING (!compared[0] || !compared[1])
#define IN_DOUBT(d) in_doubt[d]
#define TOO_LATE too_late[me]
#define UNNAMED(d) (unnamed[d] || in_hand[me] != lease[d])
#define HAS(d) (job[d] == running && owner[d] == me && lease[d] == in_hand[me])
#if N > 1
#define HAS_IT (HAS(0) || HAS(1))
#else
#define HAS_IT HAS(0)
#endif
#define A_SEND_IS_NEAR (near[0] > 0 || near[1] > 0)
#else
#define COMPARING false
#define IN_DOUBT(d) false
#define TOO_LATE false /* who looks too late has been given up before */
#define UNNAMED(d) unnamed[d]
#define A_SEND_IS_NEAR false
#endif

/* workers */
bool alive[2] = true;
bool fresh[2] = true; /* the last beat is younger than self_fence */
bool ended[2];        /* rescued: under its name nothing may be done any more */
bool given_up[2];     /* and it knows: what it held is lost */
bool told[2];         /* its beat said that its job is to be cancelled */

/* the application and the platform */
byte version = 1;
byte published[N];
byte has[N];        /* the bytes, named by their version, of what is published */
byte under_way[N];  /* sends that passed the fence and have not ended */
byte in_transit[N]; /* bytes taken by the platform, neither published nor dropped yet */

/* what has happened, for bounds and assertions */
byte crashes, pauses, mishaps, refusals, losses, stops, edits, cancels, retries, resolves, restores;
bool reported[N];     /* a receipt was settled */
byte cancelled_at[N]; /* the version that a person's cancel found: cancel_version */

#if BUG == 25
#define UNSURE(d) doubt[d]
#else
#define UNSURE(d) (doubt[d] || IN_DOUBT(d))
#endif
#define UNSEEN(d) (published[d] == 0 && under_way[d] == 0 && in_transit[d] == 0)
#if BUG == 24
#define HOLDS(d) (job[d] == running && lease[d] == my)
#else
#define HOLDS(d) (job[d] == running && owner[d] == me && lease[d] == my)
#endif

/* May this worker begin: its beat is fresh, and its host has compared. */
#if BUG == 19
#define NOT_BEFORE_COMPARED false
#else
#define NOT_BEFORE_COMPARED COMPARING
#endif
#define GOES_ON (fresh[me] && !NOT_BEFORE_COMPARED)

/* When claim_jobs may take it; for an unconfirmed one, when load does not put it back. */
#if BUG == 2
#define DUE(d) (job[d] == waiting && (!looked[d] || in_transit[d] == 0))
#else
#define DUE(d) (job[d] == waiting && (state[d] != unconfirmed || (under_way[d] == 0 \
                && (!looked[d] || in_transit[d] == 0))))
#endif

inline set_state(d, s) {
  assert(state[d] != sent || s == sent);                   /* sent is sent for ever */
  assert(s != sent || published[d] == 1);                  /* and true */
  assert((s != failed && s != missed && s != cancelled) || UNSEEN(d)); /* nothing is denied */
  state[d] = s
}

inline end_job(d) {
  job[d] = no_job; lease[d] = 0; owner[d] = 0; begun[d] = false; cancel_asked[d] = false;
  unnamed[d] = false
}

inline cancel_delivery(d) {                       /* cancel_as_requested */
#if BUG == 18
  stored[d] = version;
#elif BUG != 15
  stored[d] = cancelled_at[d];
#endif
  set_state(d, cancelled); by_person[d] = true; looked[d] = false; end_job(d)
}

inline hold_delivery(d, cannot_be_told) {
  assert(NONE || cannot_be_told || IN_DOUBT(d));
  set_state(d, held); looked[d] = false; end_job(d)
}

inline put_back_job(d) {
  if
  :: cancel_asked[d] && state[d] != sending && state[d] != unconfirmed ->
     if :: state[d] == pending -> cancel_delivery(d) :: else -> end_job(d) fi
  :: else ->
     job[d] = waiting; lease[d] = 0; owner[d] = 0; begun[d] = false; unnamed[d] = false
  fi
}

inline give_up_job(d) {
  if
  :: begun[d] && state[d] == sending ->
#if BUG == 8
     set_state(d, pending)
#else
     set_state(d, unconfirmed)
#endif
  :: else
  fi;
#if BUG == 14
  if :: !begun[d] && cancel_asked[d] && state[d] != pending -> end_job(d)
     :: else -> put_back_job(d) fi
#else
  put_back_job(d)
#endif
}

/* What a worker held, when it is rescued, released, or did not name it. */
inline release_worker(who) {
  if :: job[0] == running && owner[0] == who -> give_up_job(0) :: else fi;
#if N > 1
  if :: job[1] == running && owner[1] == who -> give_up_job(1) :: else fi;
#endif
}

/* The platform publishes. "resend" is the way only of one that knows the same bytes again. */
inline accept(d, what) {
  if
  :: RESEND && has[d] == what
  :: else ->
     published[d]++; has[d] = what;
     assert(published[d] == 1);                  /* never twice */
     assert(d == POST || published[POST] == 1)   /* never a comment before its post */
  fi
}

/* Go on, or die. */
inline trouble() {
  if
  :: true
  :: atomic { crashes < CRASHES -> crashes++; goto died }
  fi
}

proctype Worker(byte me) {
  byte d, my, number, bytes; /* number 0: it knows of no begin */
  bool same_batch, reconciling;
  mtype outcome = nothing;
#if RESTORES
  byte my_mark;
#endif

end_idle:
  atomic {                                       /* claim_jobs, load_social_media_post */
    if
    :: DUE(0) && !ended[me] && (leases > 0 || me == 0) -> d = 0 /* which is first is all one */
#if N > 1
    :: DUE(1) && !ended[me] -> d = 1
#endif
    fi;
    leases++; my = leases;
#if RESTORES
    in_hand[me] = my;
    if :: drawn < leases -> drawn = leases :: else fi;
#endif
    job[d] = running; lease[d] = my; owner[d] = me; begun[d] = false;
    given_up[me] = false; told[me] = false;
    if
    :: state[d] == unconfirmed -> reconciling = true; bytes = stored[d];
#if RESTORES
       /* Who waited so long for the last begin has waited for all that were before it. */
       too_late[0] = too_late[0] || (near[0] > 0 && near[0] <= begin_number[d]);
       too_late[1] = too_late[1] || (near[1] > 0 && near[1] <= begin_number[d])
#endif
    :: state[d] == pending ->
       stored[d] = version; bytes = version;
       if
       :: LATE && UNSEEN(d) -> set_state(d, missed); end_job(d); goto done
       :: true
       fi;
#if N > 1 && BUG != 11
       if
       :: d == COMMENT && state[POST] != sent -> set_state(d, cancelled); end_job(d); goto done
       :: else
       fi;
#endif
    :: else -> end_job(d); goto done             /* "the delivery is … already" */
    fi
  }
  if
  :: true
  :: atomic { losses < LOSSES -> losses++;
              if :: HOLDS(d) -> unnamed[d] = true :: else fi;
              goto done }
  fi;
  trouble();
  if
  :: reconciling && READ -> goto look
  :: reconciling && NONE -> outcome = hopeless; goto settle
  :: else
  fi;

begin:                                           /* begin_jobs */
  atomic {
    if
#if BUG != 5
    :: ended[me] -> goto done                    /* AM001 */
    :: !ended[me] && (!fresh[me] || NOT_BEFORE_COMPARED) -> goto stale
    :: !ended[me] && GOES_ON && !HOLDS(d) -> goto done
    :: !ended[me] && GOES_ON && HOLDS(d) && begun[d] && same_batch ->
       number = begin_number[d]; goto begun_it
#if BUG == 9
    :: !ended[me] && GOES_ON && HOLDS(d) && begun[d] && !same_batch -> end_job(d); goto done
#else
    :: !ended[me] && GOES_ON && HOLDS(d) && begun[d] && !same_batch ->
       unnamed[d] = true; goto done
#endif
    :: !ended[me] && GOES_ON && HOLDS(d) && !begun[d]
#else
    :: !begun[d]
    :: begun[d] -> goto done
#endif
    fi;
#if BUG != 6
    if
    :: state[d] != pending && state[d] != unconfirmed -> end_job(d); goto done
    :: state[d] == pending && cancel_asked[d] ->
       cancel_delivery(d); goto done
    :: state[d] == unconfirmed && (cancel_asked[d] || stored[d] != version) ->
       hold_delivery(d, true); goto done
    :: state[d] == pending && !cancel_asked[d] && bytes != version -> put_back_job(d); goto done
    :: else
    fi;
#endif
    assert(!cancel_asked[d] && bytes == version);  /* an edit or a cancel before begin wins */
    doubt[d] = (state[d] == unconfirmed);
    stored[d] = bytes;
    set_state(d, sending);
    begin_number[d]++; number = begin_number[d];
#if RESTORES
    begins[me]++; my_mark = begins[me]; unmarked[me] = true;
    near[me] = number; too_late[me] = false;
#endif
    begun[d] = true; looked[d] = false; same_batch = true
  }
  if
  :: true
  :: atomic { losses < LOSSES -> losses++; number = 0; goto begin } /* asked once more */
  fi;

begun_it:
  trouble();
#if RESTORES
  atomic {                                       /* mark_write() */
#if BUG != 20
    if :: my_mark > mark[me] -> mark[me] = my_mark :: else fi;
#endif
    unmarked[me] = false
  }
  trouble();
#endif
#if BUG == 3
  if :: doubt[d] -> bytes = 10 + number :: else fi;  /* made anew: a time, a boundary, an id */
#endif

  atomic {                                       /* task_may_send(), right before the first byte */
#if RESTORES
    near[me] = 0;
#endif
    if
#if BUG == 1
    :: under_way[d]++
#else
    :: fresh[me] && !given_up[me] && !told[me] && !TOO_LATE -> under_way[d]++
    :: told[me] -> outcome = unsent; goto settle
    :: !told[me] && (!fresh[me] || given_up[me] || TOO_LATE) -> outcome = put_back; goto settle
#endif
    fi
  }
  atomic {                                       /* the request */
    if
    :: accept(d, bytes); outcome = receipt
    :: mishaps < MISHAPS && in_transit[d] == 0 -> mishaps++; in_transit[d] = bytes; outcome = unknown
    :: mishaps < MISHAPS -> mishaps++; outcome = unknown       /* lost on the way */
    :: mishaps < MISHAPS -> mishaps++; outcome = retry         /* no connection */
    :: refusals < REFUSALS -> refusals++; outcome = refused
    fi;
    under_way[d]--
  }
  if                                             /* the answer */
  :: true
  :: atomic { outcome == receipt && mishaps < MISHAPS -> mishaps++; outcome = unknown }
#if BUG == 10
  :: told[me] -> outcome = unsent
#endif
  fi;
  trouble();
  goto settle;

stale:                                           /* a beat comes first; then it is another batch */
  same_batch = false;
#if RESTORES
  unmarked[me] = false; near[me] = 0;
#endif
  if
  :: (fresh[me] && !COMPARING) || ended[me] -> goto begin
  :: atomic { stops < STOPS -> stops++; outcome = put_back; goto settle }
  fi;

look:                                            /* the provider's reconcile() */
  atomic {
    if
    :: published[d] > 0 -> outcome = receipt     /* of no begin of its own: number stays 0 */
    :: published[d] == 0 -> outcome = not_found
    :: refusals < REFUSALS -> refusals++; outcome = hopeless
    :: mishaps < MISHAPS -> mishaps++; outcome = retry
    fi
  }
  trouble();

settle:                                          /* settle_jobs, settle_one */
  atomic {
    if
    :: outcome == receipt ->
       reported[d] = true;
#if BUG == 4
       if :: HOLDS(d) && state[d] != sent -> set_state(d, sent) :: else fi
#else
       if :: state[d] != sent -> set_state(d, sent) :: else fi
#endif
    :: else
    fi;
    if
    :: !HOLDS(d) ->
       if :: outcome == receipt && job[d] == waiting && state[d] == sent -> end_job(d) :: else fi
    :: HOLDS(d) && state[d] == sent -> end_job(d)
    :: else ->
#if BUG != 13
       if :: number == 0 && begun[d] -> number = begin_number[d] :: else fi;
#endif
       if
       :: state[d] == sending && number != begin_number[d] -> put_back_job(d)
#if BUG != 17
       :: state[d] == sending && number == begin_number[d] && UNSURE(d) ->
          set_state(d, unconfirmed);             /* only a receipt ends the doubt */
          if :: outcome == refused -> hold_delivery(d, true)
             :: else -> put_back_job(d) fi
       :: state[d] == sending && number == begin_number[d] && !UNSURE(d) ->
#else
       :: state[d] == sending && number == begin_number[d] ->
#endif
          if
          :: outcome == unknown -> set_state(d, unconfirmed); put_back_job(d)
          :: outcome == retry || outcome == put_back -> set_state(d, pending); put_back_job(d)
          :: outcome == unsent -> cancel_delivery(d)
          :: outcome == refused ->
             set_state(d, failed); end_job(d);
#if BUG == 12
             if :: d == COMMENT -> set_state(POST, failed) :: else fi
#endif
          fi
       :: state[d] == unconfirmed ->
          if
          :: outcome == not_found ->
#if BUG == 7
             set_state(d, pending);
#else
             if
             :: looked[d] && IN_DOUBT(d) && BUG != 21 -> hold_delivery(d, true); goto settled
             :: looked[d] && (!IN_DOUBT(d) || BUG == 21) -> looked[d] = false; set_state(d, pending)
             :: else -> looked[d] = true
             fi;
#endif
             put_back_job(d)
          :: outcome == hopeless -> hold_delivery(d, true)
          :: else -> put_back_job(d)
          fi
       :: state[d] == pending -> put_back_job(d) /* put back before its begin */
       fi
    fi
  }
settled:
  if
  :: true
  :: atomic { losses < LOSSES -> losses++; goto settle }
  fi;
  goto done;

died:                                            /* release_process by systemd, or rescue_lapsed */
  alive[me] = false;
  atomic {
    release_worker(me);
    alive[me] = true; fresh[me] = true; ended[me] = false; told[me] = false
  }

done:
  atomic {
#if RESTORES
    my_mark = 0; unmarked[me] = false; near[me] = 0; in_hand[me] = 0;
#endif
    d = 0; my = 0; number = 0; bytes = 0; same_batch = false; reconciling = false;
    outcome = nothing;
    goto end_idle
  }
}

/* The coordinators' beats, and the rescue of whoever does not beat. */
proctype Beats(byte me) {
end:
  do
  :: atomic { pauses < PAUSES && fresh[me] -> pauses++; fresh[me] = false } /* at any moment */
  :: atomic { alive[me] && !fresh[me] && !ended[me] -> fresh[me] = true;
#if RESTORES
              if :: !HAS_IT -> given_up[me] = true :: else fi /* "lost" */
#endif
              }
  :: atomic { alive[me] && ended[me] ->           /* worker_was_given_up */
              ended[me] = false; fresh[me] = true; given_up[me] = true; told[me] = false }
  :: atomic { alive[me] && fresh[me] && !told[me] && job[0] == running && owner[0] == me &&
              cancel_asked[0] -> told[me] = true }
  :: atomic { alive[me] && fresh[me] && job[0] == running && owner[0] == me && UNNAMED(0) ->
              give_up_job(0) }
#if N > 1
  :: atomic { alive[me] && fresh[me] && !told[me] && job[1] == running && owner[1] == me &&
              cancel_asked[1] -> told[me] = true }
  :: atomic { alive[me] && fresh[me] && job[1] == running && owner[1] == me && UNNAMED(1) ->
              give_up_job(1) }
#endif
  :: atomic { alive[me] && !fresh[me] && !ended[me] -> /* rescue_lapsed */
              release_worker(me); ended[me] = true }
  od
}

#if RESTORES
inline save(d) {
  saved_state[d] = state[d]; saved_begin_number[d] = begin_number[d]; saved_stored[d] = stored[d];
  saved_doubt[d] = doubt[d]; saved_looked[d] = looked[d]; saved_in_doubt[d] = in_doubt[d];
  saved_job[d] = job[d]; saved_lease[d] = lease[d]; saved_owner[d] = owner[d];
  saved_begun[d] = begun[d]; saved_unnamed[d] = unnamed[d]
}

inline bring_back(d) {
  state[d] = saved_state[d]; begin_number[d] = saved_begin_number[d]; stored[d] = saved_stored[d];
  doubt[d] = saved_doubt[d]; looked[d] = saved_looked[d]; in_doubt[d] = saved_in_doubt[d];
  job[d] = saved_job[d]; lease[d] = saved_lease[d]; owner[d] = saved_owner[d];
  begun[d] = saved_begun[d]; unnamed[d] = saved_unnamed[d]
}

inline hold_doubtful(d) {
  if
  :: state[d] == pending -> in_doubt[d] = true; hold_delivery(d, true)
#if N > 1
  :: state[d] == absent && (state[POST] != failed && state[POST] != missed &&
                            state[POST] != cancelled) ->
     in_doubt[d] = true; stored[d] = version; hold_delivery(d, true)
#endif
  :: state[d] == sending || state[d] == unconfirmed -> in_doubt[d] = true
  :: else
  fi
}

inline compare(host) {                           /* meet_host, close_comparison */
#if BUG != 24
  leases = drawn;                                /* open_comparison */
#endif
  compared[host] = true;
  if :: mark[host] > begins[host] -> lost_some = true; begins[host] = mark[host] :: else fi;
  if
  :: lost_some && !COMPARING ->
     lost_some = false;
     hold_doubtful(0);
#if N > 1
     hold_doubtful(1)
#endif
  :: else
  fi
}

/* The database is put back, in place: a snapshot of a disk, a point in time, a standby that was
 * behind. What runs goes on running. */
proctype Disaster() {
end:
  do
  :: atomic { !saved && restores < RESTORES -> saved = true;
              save(0);
#if N > 1
              save(1);
#endif
              saved_leases = leases; saved_begins[0] = begins[0]; saved_begins[1] = begins[1];
              saved_ended[0] = ended[0]; saved_ended[1] = ended[1] }
  :: atomic { saved && restores < RESTORES -> restores++;
              bring_back(0);
#if N > 1
              bring_back(1);
#endif
              leases = saved_leases; begins[0] = saved_begins[0]; begins[1] = saved_begins[1];
              ended[0] = saved_ended[0]; ended[1] = saved_ended[1];
#if BUG != 22
              compared[0] = false; compared[1] = false
#endif
              }
  :: atomic { !compared[0] && !unmarked[0] -> compare(0) }
  :: atomic { !compared[1] && !unmarked[1] -> compare(1) }
  od
}
#endif

/* What the platform took and does late. */
proctype Platform() {
end:
  do
  :: atomic { in_transit[0] > 0 -> accept(0, in_transit[0]); in_transit[0] = 0 }
  :: in_transit[0] > 0 -> in_transit[0] = 0
#if N > 1
  :: atomic { in_transit[1] > 0 -> accept(1, in_transit[1]); in_transit[1] = 0 }
  :: in_transit[1] > 0 -> in_transit[1] = 0
#endif
  od
}

/* The member edits; collect and apply look again. */
proctype Application() {
end:
  do
  :: atomic { edits < EDITS -> edits++; version++ }
  :: atomic { (state[POST] == failed || state[POST] == missed || state[POST] == cancelled) &&
              stored[POST] != version ->          /* ensure_deliveries */
              assert(job[POST] == no_job);
              assert(!by_person[POST] || version != cancelled_at[POST]);
              stored[POST] = version; by_person[POST] = false; set_state(POST, pending);
              job[POST] = waiting }
  :: atomic { state[POST] == pending && job[POST] == no_job -> job[POST] = waiting }
#if N > 1
  :: atomic { state[COMMENT] == pending && job[COMMENT] == no_job -> job[COMMENT] = waiting }
#if BUG == 11
  :: atomic { state[COMMENT] == absent ->
#else
  :: atomic { state[POST] == sent && state[COMMENT] == absent -> /* apply_social_media_post */
#endif
              stored[COMMENT] = version; set_state(COMMENT, pending); job[COMMENT] = waiting }
  :: atomic { state[POST] == sent && job[COMMENT] == no_job && /* reopen_comments */
#if BUG != 23
              stored[COMMENT] != version &&
#endif
              (state[COMMENT] == failed || state[COMMENT] == missed || state[COMMENT] == cancelled)
              -> assert(!by_person[COMMENT] || version != cancelled_at[COMMENT]);
              stored[COMMENT] = version; by_person[COMMENT] = false; set_state(COMMENT, pending);
              job[COMMENT] = waiting }
#endif
  od
}

#define TARGET (N - 1) /* the person deals with the last of the deliveries */

proctype Person() {
end:
  do
  :: atomic { cancels < CANCELS && job[TARGET] == waiting && state[TARGET] == sent ->
              cancels++; end_job(TARGET) }        /* it is told so */
  :: atomic { cancels < CANCELS && job[TARGET] == waiting && state[TARGET] == pending ->
              cancels++;                          /* cancel */
              cancelled_at[TARGET] = version; cancel_delivery(TARGET) }
  :: atomic { cancels < CANCELS && job[TARGET] == running && !cancel_asked[TARGET] ->
              cancels++; cancel_asked[TARGET] = true; cancelled_at[TARGET] = version }
  :: atomic { retries < RETRIES && job[TARGET] == no_job && (state[TARGET] == failed ||
              state[TARGET] == missed || state[TARGET] == cancelled
#if BUG == 16
              || state[TARGET] == held
#endif
              ) -> retries++;                     /* retry */
              by_person[TARGET] = false; set_state(TARGET, pending); job[TARGET] = waiting }
  :: atomic { resolves < RESOLVES && state[TARGET] == held && under_way[TARGET] == 0 &&
              in_transit[TARGET] == 0 && !A_SEND_IS_NEAR ->
              resolves++;                         /* resolve_delivery, by one who has looked */
#if RESTORES
              in_doubt[TARGET] = false;
#endif
              if
              :: published[TARGET] > 0 -> set_state(TARGET, sent)
              :: else -> set_state(TARGET, pending)
              fi }
  od
}

#define AT_ITS_END(d) (job[d] == no_job && (state[d] == sent || state[d] == failed \
                       || state[d] == missed || state[d] == held || state[d] == cancelled))

/* When nothing can happen any more, nothing is left over and nothing is forgotten. */
proctype Witness() {
end:
  atomic {
    timeout ->
    assert(AT_ITS_END(POST));
    assert(state[POST] != cancelled || by_person[POST]);
    assert((published[POST] == 1) == (state[POST] == sent) || state[POST] == held);
    assert(!reported[POST] || state[POST] == sent || (restores > 0 && state[POST] == held));
    assert(state[POST] != cancelled || version == cancelled_at[POST]); /* no edit is forgotten */
#if N > 1
    assert(AT_ITS_END(COMMENT) || (state[COMMENT] == absent && state[POST] != sent));
    assert((published[COMMENT] == 1) == (state[COMMENT] == sent) || state[COMMENT] == held);
    assert(!reported[COMMENT] || state[COMMENT] == sent ||
           (restores > 0 && state[COMMENT] == held));
    assert(state[COMMENT] != cancelled || version == cancelled_at[COMMENT]);
#endif
  }
}

init {
  atomic {
    stored[POST] = version; state[POST] = pending; job[POST] = waiting;
    run Worker(0); run Worker(1); run Beats(0); run Beats(1);
    run Platform(); run Application(); run Person(); run Witness();
#if RESTORES
    run Disaster()
#endif
  }
}
