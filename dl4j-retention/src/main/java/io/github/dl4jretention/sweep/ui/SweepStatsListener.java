package io.github.dl4jretention.sweep.ui;

import io.github.dl4jretention.sweep.SweepListener;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import java.util.Objects;
import org.deeplearning4j.core.storage.StatsStorageRouter;

/**
 * Shows a sweep in DL4J's user interface while it runs:
 *
 * <pre>{@code
 * StatsStorage storage = new InMemoryStatsStorage();
 * UIServer.getInstance().attach(storage);                  // then http://localhost:9000/retention
 * Sweep.builder()
 *         .listener(new SweepStatsListener("my sweep", storage))
 *         ...
 * }</pre>
 */
public final class SweepStatsListener implements SweepListener {

    private final String session;
    private final StatsStorageRouter storage;
    private boolean announced;

    /**
     * @param session name of the sweep in the storage
     * @param storage what gets the sweep at its start, after every candidate and at its end; the caller closes it
     */
    public SweepStatsListener(String session, StatsStorageRouter storage) {
        this.session = Objects.requireNonNull(session, "session");
        this.storage = Objects.requireNonNull(storage, "storage");
    }

    @Override
    public void onStart(SweepOutcome sweep) {
        put(sweep);
    }

    @Override
    public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
        put(sweep);
    }

    @Override
    public void onFinish(SweepOutcome sweep) {
        put(sweep);
    }

    private void put(SweepOutcome sweep) {
        SweepUpdate update = new SweepUpdate(session, System.currentTimeMillis(), sweep);
        if (!announced) {
            // DL4J's storages list only sessions that have static information.
            storage.putStaticInfo(update);
            announced = true;
        }
        storage.putUpdate(update);
    }
}
