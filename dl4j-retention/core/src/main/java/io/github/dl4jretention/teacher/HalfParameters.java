package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.HalfReader;
import java.util.List;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Parameters in half precision. Before a layer is used its own are widened into an array that all layers share, as
 * large as the largest needs it; but for those layers that read halves, tables of tokens above all.
 */
final class HalfParameters implements LayerParameters {

    private final INDArray halves;
    private final INDArray widened;
    private final DataType type;

    /**
     * @param slots      of the network
     * @param parameters of the network, FLOAT or DOUBLE
     * @throws IllegalArgumentException if there are none, they are of another type, or one is larger than half precision holds
     */
    HalfParameters(List<LayerSlot> slots, INDArray parameters) {
        if (slots.isEmpty()) {
            throw new IllegalArgumentException(
                    "pretrained: expected a network with parameters of its own, got one whose "
                            + "weights are frozen and shared; Teacher.sharing takes no memory");
        }
        if (parameters.dataType() != DataType.FLOAT && parameters.dataType() != DataType.DOUBLE) {
            throw new IllegalArgumentException(
                    "pretrained: expected parameters of type FLOAT or DOUBLE, got " + parameters.dataType());
        }
        type = parameters.dataType();
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            halves = parameters.reshape(parameters.length()).castTo(DataType.FLOAT16);
            double largest = halves.amaxNumber().doubleValue();
            if (!Double.isFinite(largest)) {
                throw new IllegalArgumentException(
                        "pretrained: expected parameters within +-65504, the largest that half "
                                + "precision holds, got " + parameters.amaxNumber());
            }
            long longest = slots.stream()
                    .filter(slot ->
                            slot.conf() != null && !readsHalves(slot.layerConf().getLayer()))
                    .mapToLong(LayerSlot::length)
                    .max()
                    .orElse(0);
            widened = Nd4j.create(parameters.dataType(), Math.max(1, longest));
        }
    }

    /** Rounded parameters are others. */
    @Override
    public String identity(String sha256) {
        return NetworkIdentity.sha256(List.of("half", sha256));
    }

    @Override
    public PlacedLayer place(LayerSlot slot) {
        INDArray half = slot.of(halves);
        if (readsHalves(slot.layerConf().getLayer())) {
            return new PlacedLayer(slot.layerConf().getLayer(), new PlacedLayer.Place(half, () -> {}));
        }
        INDArray wide = widened.get(NDArrayIndex.interval(0, slot.length()));
        return new PlacedLayer(slot.layerConf().getLayer(), new PlacedLayer.Place(wide, () -> wide.assign(half)));
    }

    private boolean readsHalves(Layer layer) {
        return layer instanceof HalfReader reader && reader.readsHalves(type);
    }

    @Override
    public void close() {
        halves.close();
        widened.close();
    }
}
