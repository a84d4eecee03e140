package io.github.dl4jretention.teacher;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Where the layers of a frozen network have their parameters, if not as copies in the network's own vector. */
interface LayerParameters {

    /** All layers have copies. */
    LayerParameters COPIED = slot -> null;

    /** The layer of a slot with its parameters where they lie; null for a copy. */
    @Nullable
    PlacedLayer place(LayerSlot slot);

    /** The identity of a network with these parameters, given that of the pretrained one. */
    default String identity(String sha256) {
        return sha256;
    }

    /**
     * Places the layers of a network.
     *
     * @param slots      of the frozen network's configuration, whose layers are replaced where they are placed
     * @param pretrained the parameters to copy from
     * @return the frozen network's own vector; null if every layer is placed, or has none
     */
    default @Nullable INDArray apply(List<LayerSlot> slots, INDArray pretrained) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            if (slots.isEmpty()) {
                // All of its layers are a frozen base's.
                return null;
            }
            List<INDArray> copied = new ArrayList<>();
            for (LayerSlot slot : slots) {
                PlacedLayer placed = slot.conf() == null ? null : place(slot);
                if (placed == null) {
                    copied.add(slot.of(pretrained));
                } else {
                    slot.layerConf().setLayer(placed);
                }
            }
            if (copied.size() == slots.size()) {
                return pretrained.dup();
            }
            return switch (copied.size()) {
                case 0 -> null;
                    // Of a single array concat makes no copy.
                case 1 -> copied.get(0).dup();
                default -> Nd4j.concat(0, copied.toArray(INDArray[]::new));
            };
        }
    }

    /** Frees what layers were placed in, as far as it's the teacher's. */
    default void close() {
        // Copies are the network's, and shared parameters the student's.
    }
}
