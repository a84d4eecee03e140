package elsewhere;

import java.util.List;
import org.deeplearning4j.arbiter.optimize.api.AbstractParameterSpace;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;

/** A space that is neither of Arbiter nor of this library. */
public final class ForeignSpace extends AbstractParameterSpace<Double> {

    public static int made;

    public ForeignSpace() {
        made++;
    }

    @Override
    public Double getValue(double[] values) {
        return 1.0;
    }

    @Override
    public int numParameters() {
        return 0;
    }

    @Override
    @SuppressWarnings("rawtypes")
    public List<ParameterSpace> collectLeaves() {
        return List.of(this);
    }

    @Override
    public boolean isLeaf() {
        return true;
    }

    @Override
    public void setIndices(int... indices) {}
}
