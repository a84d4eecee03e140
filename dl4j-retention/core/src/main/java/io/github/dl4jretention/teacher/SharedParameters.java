package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.ArrayBytes;
import io.github.dl4jretention.internal.ThawedLayer;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
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
 * Parameters that stay where they are: those of a network that nobody trains, or the student's of layers that are frozen
 * in it. They must be the pretrained network's, bit for bit; before each use their checksum is compared, so that a teacher
 * whose parameters someone has changed gives nothing.
 */
final class SharedParameters implements LayerParameters {

    private static final int CHUNK = 1 << 30;

    private final INDArray pretrained;
    private final INDArray holder;
    private final Map<String, LayerSlot> shared;

    private SharedParameters(List<LayerSlot> slots, INDArray pretrained, INDArray holder) {
        this.pretrained = pretrained;
        this.holder = holder;
        shared = slots.stream().collect(Collectors.toMap(LayerSlot::name, Function.identity()));
    }

    /** All of the network's own. */
    static SharedParameters all(List<LayerSlot> slots, INDArray pretrained) {
        return new SharedParameters(
                slots.stream().filter(slot -> slot.conf() != null).toList(), pretrained, pretrained);
    }

    /**
     * Those of a student's frozen layers.
     *
     * @param slots      of the student
     * @param pretrained its parameters
     * @param student    its parameters
     * @throws IllegalArgumentException if no layer of the student is frozen
     */
    static SharedParameters frozen(List<LayerSlot> slots, INDArray pretrained, INDArray student) {
        List<LayerSlot> frozen = slots.stream()
                .filter(slot -> slot.conf() != null && isFrozen(slot.conf()))
                .toList();
        if (frozen.isEmpty()) {
            throw new IllegalArgumentException(
                    "student: expected at least one frozen layer with parameters, it has none; "
                            + "without one use Teacher.of");
        }
        return new SharedParameters(frozen, pretrained, student);
    }

    private static boolean isFrozen(NeuralNetConfiguration conf) {
        Layer layer = conf.getLayer();
        return ThawedLayer.of(layer) != layer
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
        INDArray view = held.of(holder);
        long checksum = pretrained == holder ? checksum(view) : requireSame(slot.name(), slot.of(pretrained), view);
        return new PlacedLayer(
                slot.layerConf().getLayer(),
                new PlacedLayer.Place(view, () -> requireUnchanged(slot.name(), view, checksum)));
    }

    private static long requireSame(String layer, INDArray expected, INDArray given) {
        if (given.length() == expected.length() && given.dataType() == expected.dataType()) {
            if (isSame(expected, given)) {
                return checksum(given);
            }
        }
        throw new IllegalArgumentException("student: expected the pretrained network's parameters in frozen layer \""
                + layer + "\", got others: "
                + given.length() + " of type " + given.dataType()
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
