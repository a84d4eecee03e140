package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.internal.SameDiffCopy;
import io.github.dl4jretention.internal.SameDiffText;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.samediff.SameDiffLossState;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.WritableByteChannel;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A SameDiff model with a retention loss. Each minibatch is a {@code fit} of its own: within one, M2.1's memory grows
 * with every minibatch.
 */
record SameDiffStudent(SameDiff model) implements Student<SameDiff> {

    private static final String ENTRY = "graph.fb";

    SameDiffStudent {
        SameDiffLossState.of(model);
        if (model.getTrainingConfig() == null) {
            throw new IllegalArgumentException("student: expected a model with a training configuration, it has none");
        }
    }

    @Override
    public Map<String, AtomicFile.Content> entries() {
        return Map.of(ENTRY, content(model));
    }

    static AtomicFile.Content content(SameDiff model) {
        return out -> {
            SameDiffCopy.requireFits(model, true);
            ByteBuffer bytes = model.asFlatBuffers(true);
            WritableByteChannel channel = Channels.newChannel(out);
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        };
    }

    @Override
    public SameDiffStudent restore(CheckedZip zip) throws IOException {
        return new SameDiffStudent(SameDiff.fromFlatBuffers(ByteBuffer.wrap(zip.bytes(ENTRY)), true));
    }

    /** SameDiff has no way to do so: the garbage collector frees them. */
    @Override
    public void release() {
        // Nothing to do.
    }

    @Override
    public SameDiffStudent copy() {
        return new SameDiffStudent(SameDiffCopy.withTraining(model));
    }

    @Override
    public @Nullable String teacher() {
        return SameDiffLossState.of(model).teacher();
    }

    @Override
    public Map<String, Provenance.Loss> losses() {
        SameDiffLossState loss = SameDiffLossState.of(model);
        return Map.of(loss.logits(), new Provenance.Loss(loss.configuration(), loss.coefficient()));
    }

    @Override
    public void note(Provenance provenance) {
        SameDiffText.write(model, SameDiffText.PROVENANCE, provenance.toJson());
    }

    @Override
    public boolean has(TeacherOutput output) {
        return output.classAxis() < 0;
    }

    @Override
    public boolean wasTaught() {
        return iterationCount() > 0;
    }

    /** A model may have been trained before, without this teacher: then it tells nothing of the average. */
    @Override
    public void requireAveragesOf(Teacher teacher) {
        if (!wasTaught()) {
            Student.super.requireAveragesOf(teacher);
        }
    }

    @Override
    public String settings() {
        return StudentSettings.ofSameDiff(model);
    }

    @Override
    public Collection<?> listeners() {
        return model.getListeners();
    }

    @Override
    public int iterationCount() {
        return model.getTrainingConfig().getIterationCount();
    }

    @Override
    public int epochCount() {
        return model.getTrainingConfig().getEpochCount();
    }

    @Override
    public AccumulatedGradients accumulator() {
        throw new IllegalArgumentException(
                "accumulate: expected 1 for a SameDiff student, whose fit takes a step for each minibatch");
    }

    @Override
    public void listen(
            RunListeners listeners, List<MovingAverageTeacher> averages, @Nullable AccumulatedGradients accumulated) {
        model.setListeners(listeners.ofSameDiff(averages));
    }

    @Override
    public void train(MultiDataSet batch, long seed) {
        Nd4j.getRandom().setSeed(seed);
        try {
            model.fit(batch);
        } finally {
            RetentionListener.restoreBatch(model);
        }
    }

    @Override
    public void epochStarts() {
        // Nothing listens to epochs here: M2.1 announces them from within a fit of all minibatches only.
    }

    @Override
    public void epochEnds(int epochs) {
        model.getTrainingConfig().setEpochCount(epochs);
    }
}
