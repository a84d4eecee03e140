package io.github.dl4jretention.listener;

import java.util.Objects;
import java.util.UUID;
import org.deeplearning4j.core.storage.StatsStorageRouter;

/**
 * Reports to DL4J's StatsStorage, in memory, in a file or of a remote UI server, each as a {@link PersistableReport} of
 * the type {@link PersistableReport#TYPE_ID}:
 *
 * <pre>{@code
 * StatsStorage storage = new InMemoryStatsStorage();
 * UIServer.getInstance().attach(storage);
 * student.setListeners(
 *         new StatsListener(storage, 1),
 *         RetentionTrainingListener.builder().to(new ReportStatsStorage(storage)).build());
 * }</pre>
 *
 * <p>The only class here that needs StatsStorageRouter, of the artifact deeplearning4j-core, which deeplearning4j-ui
 * brings.
 */
public final class ReportStatsStorage implements ReportSink {

    /** The default worker. */
    public static final String WORKER_ID = "retention";

    private final StatsStorageRouter router;
    private final String sessionId;
    private final String workerId;
    private long last;

    /**
     * A session of its own, by a random UUID, and the default worker.
     *
     * @param router a storage, or the way to a remote one; not closed
     */
    public ReportStatsStorage(StatsStorageRouter router) {
        this(router, UUID.randomUUID().toString(), WORKER_ID);
    }

    /**
     * @param router    a storage, or the way to a remote one; not closed
     * @param sessionId a StatsListener's, say, or an earlier run's, to go on with it
     * @param workerId  one of several that train at once
     */
    public ReportStatsStorage(StatsStorageRouter router, String sessionId, String workerId) {
        this.router = Objects.requireNonNull(router, "router");
        this.sessionId = Objects.requireNonNull(sessionId, "sessionId");
        this.workerId = Objects.requireNonNull(workerId, "workerId");
    }

    /** The first report is the session's static information too: storages know sessions by it. */
    @Override
    public void accept(RetentionReport report) {
        boolean first = last == 0;
        // Storages keep one update for each millisecond.
        last = Math.max(System.currentTimeMillis(), last + 1);
        PersistableReport persistable = new PersistableReport(sessionId, workerId, last, report);
        if (first) {
            router.putStaticInfo(persistable);
        }
        router.putUpdate(persistable);
    }

    /** {@return the session by which the reports are found in the storage} */
    public String getSessionId() {
        return sessionId;
    }
}
