package io.github.dl4jretention.internal;

import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;

/** Configurations of layers without what freezes them. */
public final class ThawedLayer {

    private ThawedLayer() {}

    /**
     * {@return what a frozen layer has inside, which may itself be another kind of wrapper; another layer as it is}
     *
     * @param layer left as it is
     */
    public static Layer of(Layer layer) {
        if (layer instanceof FrozenLayer frozen) {
            return of(frozen.getLayer());
        }
        return layer instanceof FrozenLayerWithBackprop frozen ? of(frozen.getUnderlying()) : layer;
    }

    /**
     * {@return a layer without anything that wraps it}
     *
     * @param layer left as it is
     */
    public static Layer innermost(Layer layer) {
        Layer thawed = of(layer);
        return thawed instanceof BaseWrapperLayer wrapper ? innermost(wrapper.getUnderlying()) : thawed;
    }
}
