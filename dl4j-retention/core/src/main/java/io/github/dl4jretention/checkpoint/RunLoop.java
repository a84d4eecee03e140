package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a {@link FinetuningRun} does: from the start or the last checkpoint to the end, with its place kept and saved.
 */
final class RunLoop<M> {

    private static final Logger LOG = LoggerFactory.getLogger(FinetuningRun.class);
    private static final long SEED_STEP = 0x9E3779B97F4A7C15L;

    /** As the builder's, of the same names. */
    record Settings<M>(
            Student<M> start,
            Teacher teacher,
            List<MovingAverageTeacher> averages,
            EpochIterator batches,
            DivergenceMask divergenceMask,
            int epochs,
            int accumulate,
            boolean keepStudent,
            int every,
            int iterationsPerEpoch,
            long seed,
            String data,
            Checkpoints checkpoints,
            RunListeners listeners) {}

    private final Settings<M> run;
    private final String settings;
    private volatile boolean stopped;

    private Student<M> student;
    private int iteration;
    private int epoch;
    private int position;
    private String checksum = "";
    private int iterationsPerEpoch;
    private int startIterations;
    private int startEpochs;
    private @Nullable Path newest;
    private boolean unsaved;
    private boolean given;

    RunLoop(Settings<M> settings) {
        run = settings;
        student = run.start;
        this.settings = run.start.settings();
        iterationsPerEpoch = run.iterationsPerEpoch;
        run.start.requireTaughtBy(run.teacher);
        if (run.accumulate > 1) {
            run.start.accumulator().close();
        }
        run.listeners.requireFor(run.start);
    }

    void stop() {
        stopped = true;
    }

    boolean isFinished() {
        return epoch >= run.epochs;
    }

    /** Errors are in the log too: after a signal nobody else is left to tell them. */
    M run() throws IOException {
        try {
            resume();
            train();
            given = true;
            return student.model();
        } catch (IOException | RuntimeException | Error e) {
            LOG.error("the run ended at iteration {}, last checkpoint: {}", iteration, newest, e);
            throw e;
        }
    }

    private void resume() throws IOException {
        Optional<Checkpoints.Saved<M>> newest = run.checkpoints.newest(run.start);
        if (newest.isEmpty()) {
            run.start.requireSame(run.teacher);
            run.start.requireAveragesOf(run.teacher);
            requireFreshAverages();
            student = run.keepStudent ? run.start.copy() : run.start;
            iteration = 0;
            epoch = 0;
            position = 0;
            checksum = "";
            startIterations = student.iterationCount();
            startEpochs = student.epochCount();
            unsaved = true;
            return;
        }
        Checkpoints.Saved<M> saved = newest.get();
        this.newest = saved.file();
        iteration = saved.state().iteration();
        goOn(saved);
        // Whoever called run() before has it.
        if (!run.keepStudent && !given) {
            run.start.release();
        }
        student = saved.student();
        RunState state = saved.state();
        epoch = state.epoch();
        position = state.position();
        checksum = state.checksum();
        iterationsPerEpoch = state.iterationsPerEpoch() > 0 ? state.iterationsPerEpoch() : iterationsPerEpoch;
        startIterations = state.startIterations();
        startEpochs = state.startEpochs();
        unsaved = false;
        LOG.info("picking up from {}: iteration {}, epoch {}, minibatch {}", saved.file(), iteration, epoch, position);
    }

    /** A caller that begins anew when it's refused shall not have two students. */
    private void goOn(Checkpoints.Saved<M> saved) throws IOException {
        boolean goesOn = false;
        try {
            saved.student().requireSame(run.teacher);
            saved.requireGoesOn(
                    run.start, run.seed, run.data, RunState.nameOf(run.divergenceMask), run.epochs, run.accumulate);
            saved.restoreAverages(run.averages);
            goesOn = true;
        } finally {
            if (!goesOn) {
                saved.student().release();
            }
        }
    }

    /** Those that aren't the teacher's, whose state says nothing of the student. */
    private void requireFreshAverages() {
        for (MovingAverageTeacher average : run.averages) {
            if (average.hasMoved() && !run.teacher.movingAverages().contains(average)) {
                throw new IllegalStateException(
                        "average: expected one that starts with the run, got one that has moved");
            }
        }
    }

    private void train() throws IOException {
        run.listeners.sinks().forEach(sink -> sink.start(startIterations));
        try (AccumulatedGradients accumulated = run.accumulate > 1 ? student.accumulator() : null;
                TeacherMultiDataSetIterator taught =
                        new TeacherMultiDataSetIterator(run.batches, run.teacher, run.divergenceMask)) {
            student.listen(run.listeners, run.averages, accumulated);
            train(taught, accumulated);
        }
        if (unsaved) {
            save();
        }
        String how = isFinished() ? "finished" : "stopped, start again with this folder to go on";
        LOG.info("{} after iteration {}: {}", how, iteration, newest);
    }

    private void train(TeacherMultiDataSetIterator taught, @Nullable AccumulatedGradients accumulated)
            throws IOException {
        boolean first = true;
        while (!isFinished() && !stopped) {
            announceLength();
            if (first) {
                run.batches.restart(epoch, new EpochIterator.Mark(position, checksum));
            } else {
                run.batches.reset();
            }
            first = false;
            int before = iteration;
            student.epochStarts();
            while (taught.hasNext() && !stopped) {
                EpochIterator.Mark mark = step(taught, accumulated);
                iteration++;
                position = mark.position();
                checksum = mark.checksum();
                unsaved = true;
                if (!taught.hasNext()) {
                    endEpoch();
                }
                if (iteration % run.every == 0) {
                    save();
                }
            }
            // An older version's checkpoint may lie between an epoch's last minibatch and its end.
            if (iteration == before && !taught.hasNext()) {
                endEpoch();
            }
        }
    }

    /** One step, of as many minibatches as are accumulated, or those that the epoch has left. */
    private EpochIterator.Mark step(TeacherMultiDataSetIterator taught, @Nullable AccumulatedGradients accumulated) {
        long seed = run.seed + SEED_STEP * (iteration + 1);
        MultiDataSet batch = taught.next();
        if (accumulated != null) {
            for (int i = 1; i < run.accumulate && taught.hasNext(); i++) {
                Nd4j.getRandom().setSeed(seed + i);
                accumulated.add(batch);
                run.batches.trained();
                batch = taught.next();
            }
        }
        student.train(batch, seed);
        return run.batches.trained();
    }

    private void endEpoch() {
        if (position == 0) {
            throw new IllegalArgumentException("iterator: expected at least one minibatch, got none");
        }
        epoch++;
        position = 0;
        checksum = "";
        unsaved = true;
        student.epochEnds(startEpochs + epoch);
        iterationsPerEpoch = (student.iterationCount() - startIterations) / epoch;
    }

    private void announceLength() {
        if (iterationsPerEpoch > 0) {
            int expected = startIterations + run.epochs * iterationsPerEpoch;
            run.listeners.sinks().forEach(sink -> sink.expect(expected));
        }
    }

    private void save() throws IOException {
        Provenance provenance = new Provenance(
                run.teacher.sha256(),
                student.losses(),
                null,
                run.data,
                run.seed,
                student.iterationCount(),
                student.epochCount(),
                Versions.current());
        newest = run.checkpoints.write(student, run.averages, settings, provenance, iteration, this::state);
        unsaved = false;
        LOG.info("wrote {}", newest);
    }

    private RunState state(Map<String, Long> entries) {
        return new RunState(
                Checkpoints.kind(student),
                run.seed,
                RunState.nameOf(run.divergenceMask),
                iteration,
                epoch,
                position,
                checksum,
                iterationsPerEpoch,
                startIterations,
                startEpochs,
                run.accumulate,
                entries);
    }
}
