/* SPDX-License-Identifier: MIT
 *
 * How a delivery travels, as built: two workers, a person, the application, a platform, and what can
 * go wrong between them. Checked by spin for all interleavings within the bounds below; tests/model/run
 * says which combinations. Each atomic block is one transaction (the name of its SQL function beside
 * it) or one step of a worker between two of them.
 *
 * Time is abstracted into what the CHECKs of automapost.engine and the deadlines guarantee:
 *   - a send whose fence check passed ends within its deadline, and nobody reconciles before that and
 *     a margin (self_fence < lapse <= reconcile_margin): `under_way` is zero when a job whose delivery
 *     is unconfirmed comes due. Not covered: a process that is stopped between the check and the
 *     system call that writes the first byte, for longer than all of that.
 *   - a platform that took a request may publish it late, after the deadline, but not later than
 *     reread_after: `in_transit` is zero at the second look.
 * Which beats and which lapses happen when is left open: any worker may fall silent at any step, be
 * given up or not, and go on.
 *
 * WAY  1 read, 2 resend, 3 none       how an unknown outcome is reconciled
 * N    1 a post, 2 a post and its first comment
 * BUG  n > 0 breaks one rule; see tests/model/run for the list
 */
#ifndef WAY
#define WAY 1
#endif
#ifndef BUG
#define BUG 0
#endif
#ifndef N
#define N 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef PAUSES
#define PAUSES 1
#endif
#ifndef LOSSES /* answers of the database that are lost */
#define LOSSES 0
#endif
#ifndef EDITS
#define EDITS 0
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef RESOLVES
#define RESOLVES 0
#endif
#ifndef REFUSALS
#define REFUSALS 0
#endif
#ifndef LATE
#define LATE 0
#endif
#ifndef LEASES /* claims in all: the bound of the search */
#define LEASES 5
#endif

#define READ (WAY == 1)
#define RESEND (WAY == 2)
#define NONE (WAY == 3)
/* When the job of an unconfirmed delivery comes due. */
#if BUG == 2
#define CLAIMABLE(d) (!looked[d] || in_transit[d] == 0)
#else
#define CLAIMABLE(d) (under_way[d] == 0 && (!looked[d] || in_transit[d] == 0))
#endif
#define POST 0
#define COMMENT 1

mtype = { absent, pending, sending, unconfirmed, sent, failed, missed, held, cancelled };
mtype = { no_job, waiting, running };
mtype = { plainly, reconcile };
mtype = { receipt, retry, refused, unknown, unsent, put_back, not_found, keep_held };

/* post_deliveries */
mtype state[N] = absent;
byte begin_number[N];
byte stored[N];        /* the version whose bytes are stored, or at which it ended */
bool doubt[N];         /* the stored bytes were sent before (first_sent_at < begun_at) */
bool looked[N];        /* absent_at: one look found nothing */
bool by_person[N];     /* cancelled_by */
bool applied[N];

/* job_queue: the one live job of a delivery */
mtype job[N] = no_job;
byte lease[N], owner[N];
bool begun[N], cancel_asked[N];
byte leases;           /* the sequence */
bool forgotten[N];     /* its worker lives and does not name it in its beats */

/* workers */
bool fresh[2] = true;  /* the last beat is younger than self_fence */
bool ended[2];         /* rescued or released: its name may do nothing any more */
bool given_up[2];      /* it knows: what it held is lost */
bool told[2];          /* its last beat said that its job is to be cancelled */

/* the application and the platform */
byte version = 1;
byte published[N];
byte has[N];           /* the bytes (a version) that the platform knows; 0 none */
byte under_way[N];     /* sends that passed the fence check and have not ended */
byte in_transit[N];    /* requests taken and not yet published or dropped: their version */

/* ghosts */
byte crashes, pauses, losses, edits, cancels, resolves, refusals;
bool reported[N];      /* a settle with a receipt was committed */
bool was_sent[N];
bool unsure[N];        /* begun, and then edited or asked to be cancelled: a resend is not allowed */

#define is_final(d) (state[d] == sent || state[d] == failed || state[d] == missed \
                     || state[d] == held || state[d] == cancelled || state[d] == absent)

inline set_state(d, s) {
  state[d] = s;
  assert(!was_sent[d] || s == sent);               /* sent is for ever */
  if :: s == sent -> was_sent[d] = true; assert(published[d] > 0)
     :: s == cancelled || s == missed || s == failed ->
        assert(published[d] == 0 && in_transit[d] == 0) /* what is out is not called otherwise */
     :: else fi
}

inline end_job(d) {
  job[d] = no_job; lease[d] = 0; begun[d] = false; cancel_asked[d] = false; forgotten[d] = false
}

inline put_back_job(d) {                           /* asked to be cancelled: it ends instead */
  if :: cancel_asked[d] && state[d] == pending ->
        set_state(d, cancelled); by_person[d] = true; end_job(d)
     :: else -> job[d] = waiting; lease[d] = 0; begun[d] = false; forgotten[d] = false
  fi
}

inline hold(d) {
  set_state(d, held); end_job(d);
  assert(NONE || unsure[d])                        /* only what cannot be told */
}

inline give_up_job(d) {                            /* workers.sql */
  if :: begun[d] ->
        if :: state[d] == sending ->
#if BUG == 8
              set_state(d, pending)
#else
              set_state(d, unconfirmed)
#endif
           :: else fi
     :: else
  fi;
  put_back_job(d)
}

/* The platform takes bytes. The way resend is named only for one that knows the same bytes again. */
inline accept(d, bytes) {
  if :: RESEND && has[d] == bytes -> skip
     :: else ->
        published[d]++;
        has[d] = bytes;
        assert(published[d] <= 1);                 /* never twice */
        assert(d == POST || published[POST] == 1)  /* never a comment without its post */
  fi
}

/* settle_jobs, then settle_one where the lease holds */
inline settle(outcome) {
  atomic {
    if :: outcome == receipt
#if BUG == 4
          && job[d] == running && lease[d] == my
#endif
          -> reported[d] = true;
          if :: state[d] != sent && begin_number[d] >= number -> set_state(d, sent)
             :: else fi
       :: outcome == receipt -> reported[d] = true
       :: else
    fi;
    if :: job[d] == running && lease[d] == my ->
          if :: state[d] == sent -> end_job(d)
             :: state[d] == sending && doubt[d] ->   /* only a receipt ends the doubt */
                set_state(d, unconfirmed);
                if :: outcome == refused -> unsure[d] = true; hold(d)
                   :: else -> put_back_job(d) fi
             :: else ->
                if :: outcome == retry || outcome == put_back ->
                      if :: state[d] == sending -> set_state(d, pending) :: else fi;
                      put_back_job(d)
                   :: outcome == refused ->
#if BUG == 12
                      if :: d == COMMENT -> state[POST] = failed; assert(!was_sent[POST])
                         :: else fi;
#endif
                      set_state(d, failed); end_job(d)
                   :: outcome == unknown ->
                      if :: state[d] == sending -> set_state(d, unconfirmed) :: else fi;
                      looked[d] = false;
                      put_back_job(d)
                   :: outcome == unsent -> set_state(d, cancelled); by_person[d] = true; end_job(d)
                   :: outcome == not_found ->
#if BUG == 7
                      set_state(d, pending);
#else
                      if :: looked[d] -> looked[d] = false; set_state(d, pending)
                         :: else -> looked[d] = true fi;
#endif
                      put_back_job(d)
                   :: outcome == keep_held -> hold(d)
                fi
          fi
       :: else                                       /* lost: the job's row is fenced */
          -> if :: outcome == receipt && job[d] == waiting && state[d] == sent -> end_job(d)
                :: else fi
    fi
  }
}

/* At any step: go on, die, or fall silent for longer than the fence. */
inline trouble() {
  if :: true
     :: atomic { crashes < CRASHES -> crashes++; goto died }
     :: atomic { pauses < PAUSES && fresh[me] -> pauses++; fresh[me] = false }
  fi
}

proctype Worker(byte me) {
  byte d, my, number, bytes;
  mtype mode;

idle:
  d = 0; my = 0; number = 0; bytes = 0; mode = plainly;
  atomic {                                           /* claim_jobs, load_social_media_post */
    fresh[me] && !ended[me] && leases < LEASES &&
      ((job[0] == waiting && (state[0] != unconfirmed || CLAIMABLE(0)))
#if N > 1
       || (job[1] == waiting && (state[1] != unconfirmed || CLAIMABLE(1)))
#endif
      );
    if :: job[0] == waiting && (state[0] != unconfirmed || CLAIMABLE(0)) -> d = 0
#if N > 1
       :: job[1] == waiting && (state[1] != unconfirmed || CLAIMABLE(1)) -> d = 1
#endif
    fi;
    leases++; my = leases; lease[d] = my; owner[d] = me; job[d] = running; begun[d] = false;
    given_up[me] = false; told[me] = false;
    if :: state[d] == unconfirmed -> mode = reconcile
       :: state[d] == pending ->
          if :: LATE -> set_state(d, missed); stored[d] = version; end_job(d); goto idle
             :: true
          fi;
#if N > 1 && BUG != 11
          if :: d == COMMENT && state[POST] != sent -> set_state(d, cancelled); end_job(d); goto idle
             :: else fi;
#endif
          bytes = version
       :: else -> end_job(d); goto idle              /* the delivery is something else already */
    fi
  }
  if :: true
     :: atomic { losses < LOSSES -> losses++; forgotten[d] = true; goto idle } /* and its repetition */
  fi;
  trouble();
  if :: mode == reconcile && READ -> goto look
     :: mode == reconcile && NONE -> settle(keep_held); goto idle
     :: else                                         /* run, or resend: the stored bytes */
  fi;

begin:
  atomic {                                           /* begin_jobs */
    if
#if BUG != 5
       :: ended[me] -> given_up[me] = true; goto idle
       :: !ended[me] && !fresh[me] -> goto begin_stale
       :: !ended[me] && fresh[me] && !(job[d] == running && lease[d] == my) -> goto idle
       :: !ended[me] && fresh[me] && job[d] == running && lease[d] == my ->
#else
       :: true ->
#endif
#if BUG != 6
          if :: cancel_asked[d] && state[d] == pending ->
                set_state(d, cancelled); by_person[d] = true; end_job(d); goto idle
             :: state[d] == unconfirmed && (unsure[d] || stored[d] != version) -> 
                unsure[d] = true; hold(d); goto idle
             :: state[d] == pending && bytes != version -> put_back_job(d); goto idle
             :: state[d] != pending && state[d] != unconfirmed ->
#if BUG == 9
                end_job(d);
#else
                if :: job[d] == running && lease[d] == my && begun[d] -> forgotten[d] = true
                   :: else fi;
#endif
                goto idle
             :: else
          fi;
          assert(state[d] == unconfirmed || (!cancel_asked[d] && bytes == version));
#else
          assert(bytes == version || mode == reconcile);
#endif
          doubt[d] = (state[d] == unconfirmed);
          if :: state[d] == unconfirmed && mode == reconcile ->
#if BUG == 3
                bytes = version + 1                  /* made anew: a time, a boundary, an id */
#else
                bytes = stored[d]
#endif
             :: else -> stored[d] = bytes; unsure[d] = false
          fi;
          set_state(d, sending); begin_number[d]++; number = begin_number[d]; begun[d] = true;
          looked[d] = false
    fi
  }
  if :: true
     :: atomic { losses < LOSSES -> losses++ }; goto begin_stale /* the answer is lost */
  fi;
  trouble();

  /* The fence, right before the first byte: task_may_send(). */
  atomic {
    if
#if BUG == 1
       :: true -> under_way[d]++
#else
       :: fresh[me] && !given_up[me] && !told[me] -> under_way[d]++
       :: fresh[me] && !given_up[me] && told[me] -> goto not_sent
       :: !fresh[me] || given_up[me] -> goto refused_by_fence
#endif
    fi
  }
  if :: atomic { pauses < PAUSES && fresh[me] -> pauses++; fresh[me] = false } /* while it sends */
     :: true
  fi;
  if :: atomic { accept(d, bytes); under_way[d]-- }; trouble(); settle(receipt)
     :: atomic { accept(d, bytes); under_way[d]-- }; trouble(); settle(unknown)
     :: atomic { in_transit[d] == 0 -> in_transit[d] = bytes; under_way[d]-- }; trouble(); settle(unknown)
     :: under_way[d]--; trouble(); settle(unknown)   /* lost on the way */
     :: under_way[d]--; trouble(); settle(retry)     /* no connection: certainly not sent */
     :: atomic { refusals < REFUSALS -> refusals++; under_way[d]-- }; trouble(); settle(refused)
     :: atomic { crashes < CRASHES -> crashes++; under_way[d]-- ; goto died }
     :: atomic { crashes < CRASHES -> crashes++; accept(d, bytes); under_way[d]-- ; goto died }
#if BUG == 10
     :: atomic { told[me] -> accept(d, bytes); under_way[d]-- }; settle(unsent)
#endif
  fi;
  goto idle;

not_sent:
  settle(unsent);
  goto idle;

refused_by_fence:
  settle(put_back);
  goto idle;

  /* begin's answer was lost, or it said "stale": a beat, then asked again. If it was committed with
   * the same batch, the same go comes back; under another batch it is lost, and the beat that does
   * not name it puts it right. */
begin_stale:
  trouble();
  if :: atomic { begun[d] && job[d] == running && lease[d] == my && fresh[me] && !ended[me] ->
                 goto answered }
     :: atomic { fresh[me] || ended[me] -> goto begin }
  fi;
answered:
  atomic {
    if :: fresh[me] && !given_up[me] && !told[me] -> under_way[d]++
       :: fresh[me] && !given_up[me] && told[me] -> goto not_sent
       :: !fresh[me] || given_up[me] -> goto refused_by_fence
    fi
  }
  if :: atomic { accept(d, bytes); under_way[d]-- }; settle(receipt)
     :: under_way[d]--; settle(unknown)
  fi;
  goto idle;

look:
  if :: atomic { published[d] > 0 -> skip }; trouble(); number = begin_number[d]; settle(receipt)
     :: atomic { published[d] == 0 -> skip }; trouble(); settle(not_found)
  fi;
  goto idle;

died:                                                /* release by systemd, or rescue after the lapse */
  atomic {
    d = 0;
    do :: d < N ->
          if :: job[d] == running && owner[d] == me -> give_up_job(d)
             :: else fi;
          d++
       :: else -> break
    od;
    fresh[me] = true; ended[me] = false; given_up[me] = false; told[me] = false
  }
  goto idle
}

/* The coordinators' beats, and the rescue of whoever does not beat. */
proctype Beats(byte me) {
  byte d;
end:
  do
  :: atomic { !fresh[me] && !ended[me] -> fresh[me] = true }
  :: atomic { ended[me] -> ended[me] = false; fresh[me] = true; given_up[me] = true; told[me] = false }
  :: atomic { fresh[me] && !told[me] && job[0] == running && owner[0] == me && cancel_asked[0] ->
              told[me] = true }
  :: atomic { fresh[me] && !ended[me] && job[0] == running && owner[0] == me && forgotten[0] ->
              give_up_job(0) }
#if N > 1
  :: atomic { fresh[me] && !ended[me] && job[1] == running && owner[1] == me && forgotten[1] ->
              give_up_job(1) }
#endif
  :: atomic { !fresh[me] && !ended[me] ->            /* rescue_lapsed, release_worker */
              d = 0;
              do :: d < N ->
                    if :: job[d] == running && owner[d] == me -> give_up_job(d)
                       :: else fi;
                    d++
                 :: else -> break
              od;
              d = 0;
              ended[me] = true }
  od
}

proctype Platform() {                                /* what it took and does late */
  byte d;
end:
  do
  :: atomic { in_transit[0] > 0 -> d = 0; accept(d, in_transit[0]); in_transit[0] = 0 }
  :: atomic { in_transit[0] > 0 -> in_transit[0] = 0 }
#if N > 1
  :: atomic { in_transit[1] > 0 -> d = 1; accept(d, in_transit[1]); in_transit[1] = 0; d = 0 }
  :: atomic { in_transit[1] > 0 -> in_transit[1] = 0 }
#endif
  od
}

proctype Application() {                             /* the member edits; collect looks again */
end:
  do
  :: atomic { edits < EDITS -> edits++; version++;
              if :: state[POST] == sending || state[POST] == unconfirmed -> unsure[POST] = true
                 :: else fi }
  :: atomic { (state[POST] == failed || state[POST] == missed || state[POST] == cancelled) &&
              stored[POST] != version && job[POST] == no_job ->        /* ensure_deliveries */
              set_state(POST, pending); by_person[POST] = false; job[POST] = waiting }
  :: atomic { state[POST] == pending && job[POST] == no_job -> job[POST] = waiting }
#if N > 1
  :: atomic { state[POST] == sent && !applied[POST] && state[COMMENT] == absent -> /* apply */
              applied[POST] = true; state[COMMENT] = pending; job[COMMENT] = waiting }
#if BUG == 11
  :: atomic { state[COMMENT] == absent -> state[COMMENT] = pending; job[COMMENT] = waiting }
#endif
#endif
  od
}

proctype Person() {
end:
  do
  :: atomic { cancels < CANCELS && job[POST] == waiting && state[POST] != unconfirmed -> /* cancel */
              cancels++; set_state(POST, cancelled); by_person[POST] = true;
              stored[POST] = version; end_job(POST) }
  :: atomic { cancels < CANCELS && job[POST] == running -> cancels++; cancel_asked[POST] = true;
              if :: state[POST] != pending -> unsure[POST] = true :: else fi }
  :: atomic { resolves < RESOLVES && state[POST] == held && under_way[POST] == 0 &&
              in_transit[POST] == 0 -> resolves++;                    /* resolve_delivery */
              if :: published[POST] > 0 -> set_state(POST, sent)
                 :: else -> set_state(POST, pending) fi }
  od
}

/* When nothing can happen any more, nothing is left hanging. */
proctype Witness() {
  byte d;
end:
  atomic {
    timeout ->
    d = 0;
    do :: d < N ->
          assert(is_final(d) || leases == LEASES);
          assert(!reported[d] || state[d] == sent);
          assert(state[d] != sent || published[d] == 1);
          assert(state[d] == absent || leases == LEASES || is_final(d) && job[d] == no_job);
          d++
       :: else -> break
    od
  }
}

init {
  atomic {
    state[POST] = pending; stored[POST] = version; job[POST] = waiting;
    run Worker(0); run Worker(1); run Beats(0); run Beats(1);
    run Platform(); run Application(); run Person(); run Witness()
  }
}
