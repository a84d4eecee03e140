package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.ArrayStream;
import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.Model;
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

    @Nullable
    INDArray updaterState();

    /** Another student; the arrays become its own. */
    Student<M> of(String configuration, INDArray params, @Nullable INDArray updaterState);

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
        return of(
                new String(zip.bytes(ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8),
                zip.array(ModelSerializer.COEFFICIENTS_BIN),
                zip.has(ModelSerializer.UPDATER_BIN) ? zip.array(ModelSerializer.UPDATER_BIN) : null);
    }

    @Override
    default Student<M> copy() {
        INDArray state = updaterState();
        return of(configuration(), model().params().dup(), state == null || state.length() == 0 ? null : state.dup());
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
    default void listen(RunListeners listeners, List<MovingAverageTeacher> averages) {
        model().setListeners(listeners.ofNetwork(averages));
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
