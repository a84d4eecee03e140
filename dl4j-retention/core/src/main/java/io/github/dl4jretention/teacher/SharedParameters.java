package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.ThawedLayer;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;
import org.bytedeco.javacpp.BytePointer;
import org.nd4j.linalg.api.concurrency.AffinityManager.Location;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The student's parameters of layers that are frozen in it. They must be the pretrained network's, bit for bit; before
 * each use their checksum is compared, so that a teacher whose parameters someone has changed gives nothing.
 */
final class SharedParameters implements LayerParameters {

    private static final long CHUNK = 1 << 30;

    private final INDArray pretrained;
    private final INDArray student;
    private final Map<String, LayerSlot> shared;

    /**
     * @param slots      of the student
     * @param pretrained its parameters
     * @param student    its parameters
     * @throws IllegalArgumentException if no layer of the student is frozen
     */
    SharedParameters(List<LayerSlot> slots, INDArray pretrained, INDArray student) {
        this.pretrained = pretrained;
        this.student = student;
        shared = slots.stream()
                .filter(SharedParameters::isFrozen)
                .collect(Collectors.toMap(LayerSlot::name, Function.identity()));
        if (shared.isEmpty()) {
            throw new IllegalArgumentException(
                    "student: expected at least one frozen layer with parameters, it has none; "
                            + "without one use Teacher.of");
        }
    }

    private static boolean isFrozen(LayerSlot slot) {
        return slot.conf() != null
                && ThawedLayer.of(slot.conf().getLayer()) != slot.conf().getLayer();
    }

    @Override
    public PlacedLayer.Place place(LayerSlot slot) {
        LayerSlot frozen = shared.get(slot.name());
        if (frozen == null) {
            return null;
        }
        INDArray view = frozen.of(student);
        INDArray expected = slot.of(pretrained);
        long checksum = checksum(view);
        if (view.length() != expected.length()
                || view.dataType() != expected.dataType()
                || checksum(expected) != checksum
                || !view.equalsWithEps(expected, 0)) {
            throw new IllegalArgumentException(
                    "student: expected the pretrained network's parameters in frozen layer \""
                            + slot.name() + "\", got others: " + view.length() + " of type " + view.dataType() + " for "
                            + expected.length() + " of type " + expected.dataType());
        }
        return new PlacedLayer.Place(view, () -> requireUnchanged(slot.name(), view, checksum));
    }

    private static void requireUnchanged(String layer, INDArray view, long checksum) {
        if (checksum(view) != checksum) {
            throw new ChangedParametersException("student: expected the parameters of frozen layer \"" + layer
                    + "\", which the teacher shares, to stay as they were, they have changed");
        }
    }

    private static long checksum(INDArray view) {
        Nd4j.getAffinityManager().ensureLocation(view, Location.HOST);
        CRC32C checksum = new CRC32C();
        long bytes = view.length() * view.dataType().width();
        BytePointer pointer = new BytePointer(view.data().addressPointer());
        for (long from = 0; from < bytes; from += CHUNK) {
            pointer.position(from).limit(Math.min(bytes, from + CHUNK));
            ByteBuffer chunk = pointer.asByteBuffer();
            checksum.update(chunk);
        }
        return checksum.getValue();
    }
}
