package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.ArrayBytes;
import io.github.dl4jretention.internal.ThawedLayer;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;

/**
 * The student's parameters of layers that are frozen in it or have adapters, which are left out. They must be the
 * pretrained network's, bit for bit; before each use their checksum is compared, so that a teacher whose parameters
 * someone has changed gives nothing.
 */
final class SharedParameters implements LayerParameters {

    private static final int CHUNK = 1 << 30;

    private final INDArray pretrained;
    private final INDArray student;
    private final Map<String, LayerSlot> shared;

    /**
     * @param slots      of the student
     * @param pretrained its parameters
     * @param student    its parameters
     * @throws IllegalArgumentException if no layer of the student is frozen or has adapters
     */
    SharedParameters(List<LayerSlot> slots, INDArray pretrained, INDArray student) {
        this.pretrained = pretrained;
        this.student = student;
        shared = slots.stream()
                .filter(slot -> slot.conf() != null && isShared(slot.conf()))
                .collect(Collectors.toMap(LayerSlot::name, Function.identity()));
        if (shared.isEmpty()) {
            throw new IllegalArgumentException(
                    "student: expected at least one frozen layer with parameters, it has none; "
                            + "without one use Teacher.of");
        }
    }

    private static boolean isShared(NeuralNetConfiguration conf) {
        Layer layer = conf.getLayer();
        return ThawedLayer.of(layer) != layer
                || layer instanceof AdaptedLayer
                || layer.initializer().paramKeys(layer).stream()
                        .allMatch(name -> isFrozen(layer.getUpdaterByParam(name)));
    }

    /** DL4J M2.1's NoOp would subtract the gradient as it is. */
    private static boolean isFrozen(IUpdater updater) {
        return updater instanceof Sgd sgd && sgd.getLearningRateSchedule() == null && sgd.getLearningRate() == 0;
    }

    @Override
    public @Nullable PlacedLayer place(LayerSlot slot) {
        LayerSlot held = shared.get(slot.name());
        if (held == null) {
            return null;
        }
        INDArray view = held.of(student);
        Layer layer = held.layerConf().getLayer();
        Map<String, INDArray> expected = Map.of("", slot.of(pretrained));
        Map<String, INDArray> given = Map.of("", view);
        if (layer instanceof AdaptedLayer) {
            expected = table(slot.layerConf(), slot.of(pretrained));
            given = table(held.layerConf(), view);
        }
        Map<String, Long> checksums = new LinkedHashMap<>();
        for (Map.Entry<String, INDArray> parameter : expected.entrySet()) {
            checksums.put(
                    parameter.getKey(), requireSame(slot.name(), parameter.getValue(), given.get(parameter.getKey())));
        }
        Map<String, INDArray> watched = given;
        return new PlacedLayer(
                layer instanceof AdaptedLayer adapted
                        ? adapted.withoutAdapters()
                        : slot.layerConf().getLayer(),
                new PlacedLayer.Place(
                        view,
                        () -> checksums.forEach((name, checksum) -> requireUnchanged(
                                slot.name(), Objects.requireNonNull(watched.get(name), name), checksum))));
    }

    /** A layer's parameters by name, views of its part of the network's vector. */
    private static Map<String, INDArray> table(NeuralNetConfiguration conf, INDArray parameters) {
        return conf.getLayer().initializer().init(conf.clone(), parameters.reshape(1, parameters.length()), false);
    }

    private static long requireSame(String layer, INDArray expected, @Nullable INDArray given) {
        if (given != null && given.length() == expected.length() && given.dataType() == expected.dataType()) {
            if (isSame(expected, given)) {
                return checksum(given);
            }
        }
        throw new IllegalArgumentException("student: expected the pretrained network's parameters in frozen layer \""
                + layer + "\", got others: "
                + (given == null ? "none" : given.length() + " of type " + given.dataType())
                + " for " + expected.length() + " of type " + expected.dataType());
    }

    private static void requireUnchanged(String layer, INDArray view, long checksum) {
        if (checksum(view) != checksum) {
            throw new ChangedParametersException("student: expected the parameters of frozen layer \"" + layer
                    + "\", which the teacher shares, to stay as they were, they have changed; freeze the layer, or use a "
                    + "copy: Teacher.of(pretrained)");
        }
    }

    /** Bit for bit. */
    private static boolean isSame(INDArray expected, INDArray given) {
        List<ByteBuffer> parts = new ArrayList<>();
        ArrayBytes.chunks(expected, CHUNK, parts::add);
        Iterator<ByteBuffer> part = parts.iterator();
        boolean[] same = {true};
        ArrayBytes.chunks(given, CHUNK, bytes -> same[0] &= bytes.equals(part.next()));
        return same[0];
    }

    private static long checksum(INDArray view) {
        CRC32C checksum = new CRC32C();
        ArrayBytes.chunks(view, CHUNK, checksum::update);
        return checksum.getValue();
    }
}
