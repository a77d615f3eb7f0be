from setuptools import find_packages, setup

package_name = "cm_kinematics"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test", "test.*"]),
    package_data={package_name: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + package_name]),
        ("share/" + package_name, ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # by this `colcon test` knows that pytest runs the tests
    zip_safe=False,
    maintainer="SyntheX ROS maintainers",
    maintainer_email="maintainers@synthex-ros.invalid",
    description="The continuum manipulator: geometry, kinematics, solid model",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "cm_node = cm_kinematics.nodes.cm_node:main",
        ],
    },
)
