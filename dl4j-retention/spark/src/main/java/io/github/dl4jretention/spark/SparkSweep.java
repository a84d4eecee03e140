package io.github.dl4jretention.spark;

import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.task.FinetuneProblem;
import io.github.dl4jretention.sweep.task.ProblemStream;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Objects;
import java.util.UUID;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs a sweep on a cluster: the same candidates, scores, front and folder as {@link Sweep#run()}, with each candidate
 * trained by a task of Spark's.
 *
 * <pre>{@code
 * SweepOutcome outcome = SparkSweep.on(sparkContext, sweep).run();
 * }</pre>
 *
 * <p>As many candidates as the sweep's parallelism run at once: set it to the number of cores of all executors. The model
 * and the texts travel to each executor once, and one teacher serves all tasks of an executor. The folder is the
 * driver's: results are written to it one by one, and a driver that was killed picks up where it stopped. If an
 * executor is lost, Spark runs its candidates again elsewhere. The model of a candidate comes to the driver only if it
 * may be on the Pareto front.
 *
 * <p>Listeners hear of candidates, not of their steps. Scores are those of one machine, bit for bit, if all machines have
 * processors of one kind: OpenBLAS takes other kernels on others.
 */
public final class SparkSweep {

    private static final Logger LOG = LoggerFactory.getLogger(SparkSweep.class);

    private final Cluster cluster;
    private final Sweep sweep;
    private @Nullable TeacherFactory teacher;

    private SparkSweep(JavaSparkContext spark, Sweep sweep) {
        this.cluster = new Cluster(spark);
        this.sweep = Objects.requireNonNull(sweep, "sweep");
    }

    /**
     * {@return a sweep on a cluster}
     *
     * @param spark the cluster; stays open
     * @param sweep what to run
     */
    public static SparkSweep on(SparkContext spark, Sweep sweep) {
        return on(JavaSparkContext.fromSparkContext(spark), sweep);
    }

    /**
     * {@return a sweep on a cluster}
     *
     * @param spark the cluster; stays open
     * @param sweep what to run
     */
    public static SparkSweep on(JavaSparkContext spark, Sweep sweep) {
        return new SparkSweep(Objects.requireNonNull(spark, "spark"), sweep);
    }

    /**
     * Makes the executors' teacher. A sweep that was built with {@code teacher(...)} needs it, for a teacher doesn't
     * travel.
     *
     * @param factory of a teacher with the identity of the sweep's
     * @return this
     */
    public SparkSweep teacher(TeacherFactory factory) {
        teacher = Objects.requireNonNull(factory, "factory");
        return this;
    }

    /**
     * Runs what is missing.
     *
     * @return the sweep at its end, with losses on test text
     * @throws IOException              as {@link Sweep#run()}
     * @throws IllegalArgumentException if the sweep has a teacher of its own and there is no factory, or a text gives
     *     other batches after it was reset
     * @throws IllegalStateException    as {@link Sweep#run()}; or if an executor has other versions of the libraries, no
     *     backend for ND4J, or can't make the model or the teacher: the message names its host
     */
    public SweepOutcome run() throws IOException {
        FinetuneProblem problem = sweep.problem();
        if (teacher == null && problem.teacher() != problem.model().teacher()) {
            throw new IllegalArgumentException("teacher: expected SparkSweep.teacher(factory), which makes it on each"
                    + " executor, got a sweep with a teacher of its own and no factory");
        }
        try (Sent sent = new Sent(problem)) {
            return sweep.run(observer -> new CandidateTasks(cluster, problem, sent, observer));
        }
    }

    /** What executors are sent once: when the first candidate is to be trained. */
    final class Sent implements AutoCloseable {

        private final FinetuneProblem problem;
        private @Nullable SharedProblem shared;

        Sent(FinetuneProblem problem) {
            this.problem = problem;
        }

        synchronized SharedProblem get() throws IOException {
            SharedProblem known = shared;
            if (known == null) {
                ByteChunks bytes = ByteChunks.of(out -> ProblemStream.write(problem, out));
                LOG.info("model and texts: {} bytes for each executor", bytes.size());
                Broadcast<ByteChunks> broadcast = cluster.broadcast(bytes);
                known = new SharedProblem(
                        UUID.randomUUID().toString(), broadcast, teacher, new LinkedHashMap<>(problem.identity()));
                shared = known;
            }
            return known;
        }

        @Override
        public synchronized void close() {
            if (shared != null) {
                shared.bytes().destroy();
                shared = null;
            }
        }
    }
}
