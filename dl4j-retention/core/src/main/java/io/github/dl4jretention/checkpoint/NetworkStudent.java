package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.ArrayStream;
import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.deeplearning4j.util.ModelSerializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A network of DL4J with retention layers. Its entries are those of DL4J's model files, which its ModelSerializer reads.
 */
sealed interface NetworkStudent<M extends Model> extends Student<M> permits MultiLayerStudent, GraphStudent {

    /** The retention layers by the names of their outputs. */
    Map<String, RetentionOutputLayer> heads();

    /** The configuration as JSON. */
    String configuration();

    /** What DL4J writes of a configuration that it has read. */
    String reread(String configuration);

    /** Null if it has none yet: the first step makes it, of zeros. */
    @Nullable
    INDArray updaterState();

    /** An updater's state; none is made for it. */
    static @Nullable INDArray state(@Nullable Updater updater) {
        return updater == null ? null : updater.getStateViewArray();
    }

    /** The same, made if need be; null if the updaters have no state. */
    @Nullable
    INDArray newUpdaterState();

    /** Another student without an updater's state; the parameters become its own. */
    NetworkStudent<M> of(String configuration, INDArray params);

    @Override
    Collection<TrainingListener> listeners();

    void fit(MultiDataSet batch);

    void setEpochCount(int epochs);

    /** @param updaterState null for none */
    static Map<String, AtomicFile.Content> entries(
            String configuration, INDArray params, @Nullable INDArray updaterState) {
        Map<String, AtomicFile.Content> entries = new LinkedHashMap<>();
        entries.put(
                ModelSerializer.CONFIGURATION_JSON, out -> out.write(configuration.getBytes(StandardCharsets.UTF_8)));
        entries.put(ModelSerializer.COEFFICIENTS_BIN, array(params));
        if (updaterState != null && updaterState.length() > 0) {
            entries.put(ModelSerializer.UPDATER_BIN, array(updaterState));
        }
        return entries;
    }

    static AtomicFile.Content array(INDArray array) {
        return out -> {
            DataOutputStream data = new DataOutputStream(out);
            ArrayStream.write(array, data);
            data.flush();
        };
    }

    @Override
    default Map<String, AtomicFile.Content> entries() {
        return entries(configuration(), model().params(), updaterState());
    }

    @Override
    default Student<M> restore(CheckedZip zip) throws IOException {
        String configuration = StudentSettings.withMemoryOf(
                new String(zip.bytes(ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8), configuration());
        INDArray params = zip.array(ModelSerializer.COEFFICIENTS_BIN);
        NetworkStudent<M> student = null;
        boolean restored = false;
        try {
            student = of(configuration, params);
            if (zip.has(ModelSerializer.UPDATER_BIN)) {
                // Where the updater has it, for a second one would be two more copies of the parameters.
                zip.array(ModelSerializer.UPDATER_BIN, student.newUpdaterState());
            }
            restored = true;
            return student;
        } finally {
            if (!restored && student != null) {
                student.release();
            } else if (!restored) {
                params.close();
            }
        }
    }

    @Override
    default void release() {
        for (INDArray array : Arrays.asList(model().params(), model().getGradientsViewArray(), updaterState())) {
            if (array != null && !array.isEmpty() && array.closeable()) {
                array.close();
            }
        }
    }

    @Override
    default Student<M> copy() {
        NetworkStudent<M> copy = of(configuration(), model().params().dup());
        INDArray state = updaterState();
        INDArray ofCopy = state == null ? null : copy.newUpdaterState();
        if (state != null && ofCopy != null) {
            ofCopy.assign(state);
        }
        return copy;
    }

    @Override
    default @Nullable String teacher() {
        return heads().values().iterator().next().getTeacher();
    }

    @Override
    default Map<String, Provenance.Loss> losses() {
        Map<String, Provenance.Loss> losses = new LinkedHashMap<>();
        heads().forEach((name, head) -> losses.put(
                name, new Provenance.Loss(head.getRetention(), head.coefficientAt(iterationCount(), epochCount()))));
        return losses;
    }

    @Override
    default void note(Provenance provenance) {
        heads().values().forEach(head -> head.setProvenance(provenance.toJson()));
    }

    @Override
    default boolean wasTaught() {
        return heads().values().stream().anyMatch(head -> head.getTaughtMinibatches() > 0);
    }

    @Override
    default String settings() {
        String json = configuration();
        return StudentSettings.ofNetwork(StudentSettings.readBack(() -> reread(json)));
    }

    @Override
    default AccumulatedGradients accumulator() {
        return new AccumulatedGradients(model());
    }

    @Override
    default void listen(
            RunListeners listeners, List<MovingAverageTeacher> averages, @Nullable AccumulatedGradients accumulated) {
        model().setListeners(listeners.ofNetwork(averages, accumulated));
    }

    @Override
    default void train(MultiDataSet batch, long seed) {
        Nd4j.getRandom().setSeed(seed);
        fit(batch);
    }

    @Override
    default void epochStarts() {
        listeners().forEach(listener -> listener.onEpochStart(model()));
    }

    @Override
    default void epochEnds(int epochs) {
        listeners().forEach(listener -> listener.onEpochEnd(model()));
        setEpochCount(epochs);
    }
}
