package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
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
            EpochIterator batches,
            DivergenceMask divergenceMask,
            int epochs,
            int every,
            int iterationsPerEpoch,
            long seed,
            String data,
            Checkpoints checkpoints,
            RunListeners listeners) {}

    private final Student<M> start;
    private final Teacher teacher;
    private final EpochIterator batches;
    private final DivergenceMask divergenceMask;
    private final int epochs;
    private final int every;
    private final long seed;
    private final String data;
    private final Checkpoints checkpoints;
    private final RunListeners listeners;
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

    RunLoop(Settings<M> settings) {
        start = settings.start();
        student = start;
        teacher = settings.teacher();
        batches = settings.batches();
        divergenceMask = settings.divergenceMask();
        epochs = settings.epochs();
        every = settings.every();
        iterationsPerEpoch = settings.iterationsPerEpoch();
        seed = settings.seed();
        data = settings.data();
        checkpoints = settings.checkpoints();
        listeners = settings.listeners();
        start.requireTaughtBy(teacher);
        listeners.requireFor(start);
    }

    void stop() {
        stopped = true;
    }

    boolean isFinished() {
        return epoch >= epochs;
    }

    /** Errors are in the log too: after a signal nobody else is left to tell them. */
    M run() throws IOException {
        try {
            resume();
            train();
            return student.model();
        } catch (IOException | RuntimeException | Error e) {
            LOG.error("the run ended at iteration {}, last checkpoint: {}", iteration, newest, e);
            throw e;
        }
    }

    private void resume() throws IOException {
        Optional<Checkpoints.Saved<M>> newest = checkpoints.newest(start);
        if (newest.isEmpty()) {
            student = start.copy();
            student.requireSame(teacher);
            student.requireAveragesOf(teacher);
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
        student = saved.student();
        student.requireSame(teacher);
        saved.requireGoesOn(start, seed, data, RunState.nameOf(divergenceMask), epochs);
        saved.restoreAverages(teacher);
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

    private void train() throws IOException {
        student.listen(listeners, teacher);
        listeners.sinks().forEach(sink -> sink.start(startIterations));
        try (TeacherMultiDataSetIterator taught = new TeacherMultiDataSetIterator(batches, teacher, divergenceMask)) {
            train(taught);
        }
        if (unsaved) {
            save();
        }
        String how = isFinished() ? "finished" : "stopped, start again with this folder to go on";
        LOG.info("{} after iteration {}: {}", how, iteration, newest);
    }

    private void train(TeacherMultiDataSetIterator taught) throws IOException {
        boolean first = true;
        while (!isFinished() && !stopped) {
            announceLength();
            if (first) {
                batches.restart(epoch, new EpochIterator.Mark(position, checksum));
            } else {
                batches.reset();
            }
            first = false;
            int before = iteration;
            student.epochStarts();
            while (taught.hasNext() && !stopped) {
                student.train(taught.next(), seed + SEED_STEP * (iteration + 1));
                iteration++;
                EpochIterator.Mark mark = batches.trained();
                position = mark.position();
                checksum = mark.checksum();
                unsaved = true;
                if (!taught.hasNext()) {
                    endEpoch();
                }
                if (iteration % every == 0) {
                    save();
                }
            }
            // An older version's checkpoint may lie between an epoch's last minibatch and its end.
            if (iteration == before && !taught.hasNext()) {
                endEpoch();
            }
        }
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
            int expected = startIterations + epochs * iterationsPerEpoch;
            listeners.sinks().forEach(sink -> sink.expect(expected));
        }
    }

    private void save() throws IOException {
        Provenance provenance = new Provenance(
                teacher.sha256(),
                student.losses(),
                null,
                data,
                seed,
                student.iterationCount(),
                student.epochCount(),
                Versions.current());
        newest = checkpoints.write(student, teacher, start.settings(), provenance, iteration, this::state);
        unsaved = false;
        LOG.info("wrote {}", newest);
    }

    private RunState state(Map<String, Long> entries) {
        return new RunState(
                Checkpoints.kind(student),
                seed,
                RunState.nameOf(divergenceMask),
                iteration,
                epoch,
                position,
                checksum,
                iterationsPerEpoch,
                startIterations,
                startEpochs,
                entries);
    }
}
